"""Content store, layers, registry client."""
