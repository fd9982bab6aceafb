"""Turns "how much is too much" into numbers that every loop over untrusted bytes checks (B06)."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Far above any honest image; a test, or a careful user, sets them lower."""

    total: int = 256 << 30
    """Bytes that one archive may unpack to."""
    ratio: int = 1200
    """Unpacked to packed bytes, once ``ratio_from`` bytes are out; gzip can't exceed 1032."""
    ratio_from: int = 1 << 30
    seconds: float = 86_400.0
    """For one archive to come and be unpacked: a sender that drips has no end of its own."""
    entries: int = 4_000_000
    path: int = 4095
    depth: int = 512
    header: int = 1 << 20
    """Bytes of one PAX or GNU long-name header."""
    xattr: int = 65536
    """Bytes of one extended attribute (xattr(7): VFS limit)."""


DEFAULT = Limits()
