"""Turns Go's words for a time, ``1h30m`` or ``500ms``, into seconds."""

from __future__ import annotations

import re

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|us|µs|ns|s)")
LONGEST = 64
"""Characters; nobody means more."""


def duration(text: str) -> float | None:
    """Seconds; None for what is no such time."""
    if text == "0":
        return 0.0
    if len(text) > LONGEST or not re.fullmatch(f"(?:{PART.pattern})+", text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in PART.findall(text))
