"""Turns ``0-2,4`` into numbers: cpuset(7), "List format". Pure."""

MOST = 8192
"""More processors or memory nodes no kernel knows."""


def members(text: str) -> set[int] | None:
    """The numbers; None for what is no list."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and first.isascii() and len(first) < 6):
            return None
        if dash and not (last.isdecimal() and last.isascii() and len(last) < 6):
            return None
        low, high = int(first), int(last or first)
        if low > high or high >= MOST:
            return None
        found.update(range(low, high + 1))
    return found
