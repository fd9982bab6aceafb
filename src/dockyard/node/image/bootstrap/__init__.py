"""Base images without a registry: packages of the host come in, an image goes out."""
