"""Services come in as names, DNS answers go out."""
