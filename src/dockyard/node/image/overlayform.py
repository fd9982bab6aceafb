"""Turns what a layer hides into the form that overlayfs reads (kernel: filesystems/overlayfs)."""

from dockyard.base.linux.opaque import OPAQUE

__all__ = ["OPAQUE", "Path"]

Path = tuple[bytes, ...]
"""A path below a layer's root, in parts; the root itself is empty."""
