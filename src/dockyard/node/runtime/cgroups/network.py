"""Turns ``resources.network`` into the files of net_cls and net_prio, which version 1 alone has."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.pattern import Pattern
from dockyard.node.runtime.cgroups.controller import (
    Write,
    entries,
    needed,
    number,
    only_v1,
    section,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


_INTERFACE = Pattern(r"[^\s/]{1,15}")


class NetCls:
    """net_cls: the class that tc and nftables see on the group's packets; 0 is none."""

    name = in_v2 = "net_cls"
    member = "network"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        if class_id := number(section(resources, "network"), "classID", "network", 0, 2**32 - 1):
            yield "net_cls.classid", str(class_id)

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        if any(True for _ in self.v1(resources, now)):
            raise only_v1("network.classID", "nftables matches groups of v2 by their path")
        yield from ()


class NetPrio:
    """net_prio: the priority of the group's packets on each interface."""

    name = in_v2 = "net_prio"
    member = "network"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        listed = entries(section(resources, "network"), "priorities", "network.priorities")
        for index, entry in enumerate(listed):
            where = f"network.priorities[{index}]"
            name = entry.get("name")
            if not isinstance(name, str) or not _INTERFACE.fullmatch(name):
                raise Invalid(f"config: linux.resources.{where}.name: {name!r}: not an interface")
            yield "net_prio.ifpriomap", f"{name} {needed(entry, 'priority', where, 0, 2**32 - 1)}"

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        if any(True for _ in self.v1(resources, now)):
            raise only_v1("network.priorities")
        yield from ()
