"""Turns one part of ``linux.resources`` into (file, value) pairs: what each controller offers."""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.typed import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Now = Callable[[str], str | None]
    """What a file of the group holds now; None where this kernel has no such file."""

Write = tuple[str, str]
"""A file of the group and what is written to it."""


LARGEST = 2**63 - 1
MOST = 1024
"""Entries of a list: more is no configuration that somebody meant."""


class Controller(Protocol):
    """One controller. ``v1`` and ``v2`` decide, in the order in which is written; the group acts.

    Raises :class:`Invalid` for what breaks the specification, :class:`Unsupported` for what this
    version of control groups does not have: nothing that was asked for is left out silently.
    """

    name: str
    """As version 1 has it."""
    in_v2: str
    """As version 2 has it."""
    member: str
    """Of the resources: where that is missing there is nothing to decide."""

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]: ...

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]: ...


def fresh(file: str) -> str | None:
    """The files of a group that nobody has changed yet."""
    return ""


def section(resources: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One object of the resources; missing is empty."""
    found = resources.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Invalid(f"config: linux.resources.{name}: not an object")
    return found


def entries(values: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    """A list of objects; missing is empty."""
    found = values.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > MOST:
        raise Invalid(f"config: linux.resources.{where}: not a list of at most {MOST} entries")
    for index, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise Invalid(f"config: linux.resources.{where}[{index}]: not an object")
    return found


def number(
    values: Mapping[str, Any], name: str, where: str, low: int = -1, high: int = LARGEST
) -> int | None:
    """A whole number; None where it is missing."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Invalid(
            f"config: linux.resources.{where}.{name}: {value!r}: not between {low} and {high}"
        )
    return value


def needed(values: Mapping[str, Any], name: str, where: str, low: int, high: int = LARGEST) -> int:
    """A whole number that the specification requires."""
    value = number(values, name, where, low, high)
    if value is None:
        raise Invalid(f"config: linux.resources.{where}.{name}: missing")
    return value


def flag(values: Mapping[str, Any], name: str, where: str) -> bool | None:
    """True or false; None where it is missing."""
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise Invalid(f"config: linux.resources.{where}.{name}: {value!r}: not true or false")
    return value


def only_v1(field: str, instead: str = "") -> Unsupported:
    """The refusal of a field that version 2 has nothing for."""
    hint = f"; {instead}" if instead else ""
    return Unsupported(f"config: linux.resources.{field}: cgroup v2 has no such limit{hint}")


def current(now: Now, file: str) -> int | None:
    """A single number that a file holds; None where it holds none (``max``, a fresh group)."""
    text = (now(file) or "").strip()
    return int(text) if text.lstrip("-").isdigit() else None
