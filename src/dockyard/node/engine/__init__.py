"""Containers: their life cycle, ownership and events."""
