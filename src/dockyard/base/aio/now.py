"""Turns the kernel's clocks into numbers and stamps, for code that runs without an event loop.

The synchronous half of :mod:`dockyard.base.aio.clock`, free of asyncio so that a hot verb can
import it. Stamps follow RFC 3339: Kubernetes' ``metav1.Time`` has whole seconds, its ``MicroTime``
six digits, Docker nine.
"""

import time

wall = time.time
"""Seconds since the epoch."""

monotonic = time.monotonic
"""Seconds that no change of the wall clock moves."""

pause = time.sleep
"""Blocks this thread for some seconds; only in processes without an event loop."""


def stamp(seconds: float) -> str:
    """``2026-01-02T03:04:05Z``: seconds since the epoch as metav1.Time writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def micro_stamp(seconds: float) -> str:
    """``2026-01-02T03:04:05.678901Z``: as metav1.MicroTime writes them."""
    return _fraction(seconds, 6)


def nano_stamp(seconds: float) -> str:
    """``2026-01-02T03:04:05.678901234Z``: as Docker and the CRI's logs write them."""
    return _fraction(seconds, 9)


def _fraction(seconds: float, digits: int) -> str:
    nanoseconds = round(seconds * 1e9)
    whole, part = divmod(nanoseconds, 1_000_000_000)
    text = f"{part:09d}"[:digits]
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{text}Z"


def parse_stamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 stamp; ``ValueError`` where it is none."""
    import calendar  # it loads datetime and locale, which the smallest processes do without

    head, zone = text[:19], text[19:]
    fraction = 0.0
    if zone.startswith("."):
        digits = zone[1:].rstrip("Zz")
        for sign in "+-":
            digits = digits.split(sign)[0]
        if not digits.isdecimal():
            raise ValueError(f"not an RFC 3339 time: {text!r}")
        fraction, zone = float("0." + digits), zone[1 + len(digits) :]
    seconds = float(calendar.timegm(time.strptime(head, "%Y-%m-%dT%H:%M:%S")))
    return seconds + fraction - _offset(zone, text)


def _offset(zone: str, text: str) -> float:
    if zone in ("Z", "z"):
        return 0.0
    hours, colon, minutes = zone[1:].partition(":")
    if zone[:1] not in ("+", "-") or not colon or not (hours + minutes).isdecimal():
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    offset = int(hours) * 3600.0 + int(minutes) * 60.0
    return offset if zone[0] == "+" else -offset
