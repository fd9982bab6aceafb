"""Named and bind volumes."""
