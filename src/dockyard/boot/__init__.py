"""Builds the object graph and owns process life."""
