"""Turns ``resources.cpu`` into the files of the cpu and cpuset controllers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.node.runtime.cgroups.controller import Write, number, section

_RANGES = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?){0,1000}")


class Cpu:
    """cpu: weight and bandwidth; times are microseconds."""

    name = "cpu"

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]:
        cpu = section(resources, "cpu")
        for member, file in (
            ("shares", "cpu.shares"),
            ("period", "cpu.cfs_period_us"),
            ("quota", "cpu.cfs_quota_us"),
        ):
            if value := number(cpu, member, "cpu"):
                yield file, str(value)


class Cpuset:
    """cpuset: which processors and memory nodes. A new group starts with its parent's."""

    name = "cpuset"

    def v1(self, resources: Mapping[str, Any]) -> Iterator[Write]:
        cpu = section(resources, "cpu")
        for member in ("cpus", "mems"):
            value = cpu.get(member)
            if not value:
                continue
            if not isinstance(value, str) or not _RANGES.fullmatch(value):
                raise Invalid(f"config: linux.resources.cpu.{member}: {value!r}: not like 0-2,4")
            yield f"cpuset.{member}", value
