"""A cluster inside a Python process, and the pytest plugin."""
