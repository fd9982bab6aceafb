"""Pods without a node come in, bindings go out."""
