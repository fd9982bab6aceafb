"""Turns ``resources.pids`` into the pids controller's file."""

from __future__ import annotations

from dockyard.node.runtime.cgroups.controller import Write, number, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


class Pids:
    """pids: how many processes and threads; 0 or less is no limit."""

    name = in_v2 = member = "pids"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        limit = number(section(resources, "pids"), "limit", "pids")
        if limit is not None:
            yield "pids.max", str(limit) if limit > 0 else "max"

    v2 = v1
