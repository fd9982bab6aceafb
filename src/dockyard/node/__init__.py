"""What one machine does."""
