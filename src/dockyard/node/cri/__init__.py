"""The CRI over the engine."""
