"""Turns ``--since`` and ``--until`` words into seconds since the epoch."""

from __future__ import annotations

import time

from dockyard.base.aio.now import parse_stamp
from dockyard.base.errors import Invalid

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
PART = r"(\d+(?:\.\d+)?)(h|ms|m|us|ns|s)"
LOCAL = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
"""A time without a zone is this machine's, as Docker has it."""


def moment(text: str, now: float) -> float:
    """``2026-01-02T15:04:05Z``, ``2026-01-02``, ``1767366245.5``, or ``1h30m`` before now."""
    if not text:
        return 0.0
    import re  # most commands ask for no time

    if re.fullmatch(f"(?:{PART})+", text):
        return now - sum(float(number) * UNITS[unit] for number, unit in re.findall(PART, text))
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    for form in LOCAL:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    try:
        return parse_stamp(text)
    except ValueError as error:
        raise Invalid(f"invalid time: {text}: a stamp like 2026-01-02T15:04:05Z, or 10m") from error
