"""Selectors, quantities, schemas, patches: pure."""
