"""Containers and Kubernetes in one Python package."""
