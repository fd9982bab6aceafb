"""Desired state comes in, the next step towards it goes out; one file per controller."""
