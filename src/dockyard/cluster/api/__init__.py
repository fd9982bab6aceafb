"""The API server: HTTP requests come in, stored objects and watch events go out."""
