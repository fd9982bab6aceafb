FROM localhost/redis:7
WORKDIR /data
EXPOSE 6379
CMD ["redis-server"]
