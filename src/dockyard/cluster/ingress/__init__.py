"""Ingresses come in, an HTTP reverse proxy goes out."""
