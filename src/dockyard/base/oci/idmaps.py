"""Turns id mappings of a specification into checked ranges (user_namespaces(7))."""

from __future__ import annotations

import itertools

from dockyard.base.errors import Invalid
from dockyard.base.oci.fields import integer, items, mapping
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


MOST = 340
"""As many lines as the kernel takes since Linux 4.15."""


class IdRange(NamedTuple):
    """Ids that follow each other, inside a user namespace and outside."""

    inside: int
    outside: int
    size: int


IdMap = tuple[IdRange, ...]


def parse_map(parent: dict[str, Any], name: str, where: str) -> IdMap:
    """The ranges of one member; none of them overlaps another, on either side."""
    ranges = tuple(
        _range(item, f"{where}.{name}[{index}]")
        for index, item in enumerate(items(parent, name, MOST))
    )
    for side, label in ((0, "containerID"), (1, "hostID")):
        ordered = sorted(ranges, key=lambda found: found[side])
        for one, other in itertools.pairwise(ordered):
            if one[side] + one.size > other[side]:
                raise Invalid(f"config: {where}.{name}: ranges overlap at {label} {other[side]}")
    return ranges


def _range(item: Any, where: str) -> IdRange:
    found = mapping(item, where)
    for name in ("containerID", "hostID", "size"):
        if found.get(name) is None:
            raise Invalid(f"config: {where}.{name}: missing")
    most = 2**32 - 1
    inside = integer(found, "containerID", where, 0, most - 1)
    outside = integer(found, "hostID", where, 0, most - 1)
    size = integer(found, "size", where, 1, most)
    if inside + size > most or outside + size > most:
        raise Invalid(f"config: {where}.size: {size}: ids beyond 32 bits")
    return IdRange(inside, outside, size)


def lines(ranges: IdMap) -> str:
    """What ``uid_map`` takes, in one write(2)."""
    return "".join(f"{one.inside} {one.outside} {one.size}\n" for one in ranges)


def outside(ranges: IdMap, inside: int) -> int | None:
    """The id that an id of the namespace is outside; None where it has none."""
    for one in ranges:
        if one.inside <= inside < one.inside + one.size:
            return one.outside + inside - one.inside
    return None


def covers(ranges: IdMap, inside: int) -> bool:
    """Whether an id of the namespace is one outside."""
    return outside(ranges, inside) is not None
