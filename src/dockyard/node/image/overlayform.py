"""Turns what a layer hides into the form that overlayfs reads (kernel: filesystems/overlayfs)."""

OPAQUE = "trusted.overlay.opaque"
"""Attribute of a directory: what lower layers have in it is not seen."""

Path = tuple[bytes, ...]
"""A path below a layer's root, in parts; the root itself is empty."""
