"""Turns ``resources.memory`` (bytes; -1: no limit) into the memory controller's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dockyard.node.runtime.cgroups.controller import Write, number, section


class Memory:
    """memory (cgroup-v1/memory.rst of the kernel)."""

    name = "memory"

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]:
        memory = section(resources, "memory")
        limit = number(memory, "limit", "memory")
        swap = number(memory, "swap", "memory")
        reservation = number(memory, "reservation", "memory")
        swappiness = number(memory, "swappiness", "memory", low=0)
        if limit is not None:
            yield "memory.limit_in_bytes", str(limit)
        if swap is not None:
            yield "memory.memsw.limit_in_bytes", str(swap)
        if reservation is not None:
            yield "memory.soft_limit_in_bytes", str(reservation)
        if swappiness is not None:
            yield "memory.swappiness", str(swappiness)
        if memory.get("disableOOMKiller"):
            yield "memory.oom_control", "1"
