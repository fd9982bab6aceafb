"""Turns bytes into Docker's words: four digits in steps of 1024, or three in steps of 1000."""

from __future__ import annotations

BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def binary(size: float) -> str:
    """``348KiB``, ``1.953MiB``."""
    return _scaled(size, 1024, BINARY, 4)


def decimal(size: float, digits: int = 3) -> str:
    """``1.05kB``."""
    return _scaled(size, 1000, DECIMAL, digits)


def _scaled(size: float, step: int, units: tuple[str, ...], digits: int) -> str:
    index = 0
    while size >= step and index < len(units) - 1:
        size /= step
        index += 1
    return f"{size:.{digits}g}{units[index]}"
