"""Packages: a distribution's database comes in as bytes, names and versions go out."""
