"""Turns resource quantities into whole numbers, remembering the few that a cluster uses."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


@lru_cache(maxsize=4096)
def _value(text: str) -> Decimal:
    number = text.rstrip("numkMGTPEi")
    suffix = text[len(number) :]
    return Decimal(number) * _SUFFIXES[suffix]


@lru_cache(maxsize=4096)
def milli(text: str) -> int:
    """Thousandths, rounded up: ``"0.5"`` is 500."""
    return int((_value(text) * 1000).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=4096)
def whole(text: str) -> int:
    """Whole units, rounded up: ``"1Ki"`` is 1024."""
    return int(_value(text).to_integral_value(ROUND_CEILING))
