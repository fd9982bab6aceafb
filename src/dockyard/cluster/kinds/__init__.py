"""What each resource kind is; one file (or folder) per kind."""
