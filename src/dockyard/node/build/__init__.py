"""A Dockerfile comes in, an image goes out."""
