"""Turns one part of ``linux.resources`` into (file, value) pairs: what each controller offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from dockyard.base.errors import Invalid

Write = tuple[str, str]
"""A file of the group and what is written to it."""

LARGEST = 2**63 - 1


class Controller(Protocol):
    """One controller. ``v1`` and ``v2`` are pure: they decide, the group acts."""

    name: str

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]: ...


def section(resources: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One object of the resources; missing is empty."""
    found = resources.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Invalid(f"config: linux.resources.{name}: not an object")
    return found


def number(values: Mapping[str, Any], name: str, where: str, low: int = -1) -> int | None:
    """A whole number; None where it is missing."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= LARGEST:
        raise Invalid(
            f"config: linux.resources.{where}.{name}: {value!r}: not between {low} and {LARGEST}"
        )
    return value
