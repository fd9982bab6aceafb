"""Turns ``resources.cpu.cpus`` and ``mems`` into the files of the cpuset controller."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.pattern import Pattern
from dockyard.node.runtime.cgroups.controller import Write, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


_RANGES = Pattern(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?){0,1000}")


class Cpuset:
    """cpuset: which processors and memory nodes. A new group starts with those above it."""

    name = in_v2 = "cpuset"
    member = "cpu"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        cpu = section(resources, "cpu")
        for member in ("cpus", "mems"):
            value = cpu.get(member)
            if not value:
                continue
            if not isinstance(value, str) or not _RANGES.fullmatch(value):
                raise Invalid(f"config: linux.resources.cpu.{member}: {value!r}: not like 0-2,4")
            yield f"cpuset.{member}", value

    v2 = v1
