"""What Kubernetes is."""
