"""Turns scheduling members of a specification into the numbers that the kernel takes."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.linux.scheduling import (
    DOMAINS,
    FLAGS,
    IO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    POLICIES,
)
from dockyard.base.oci.fields import integer, mapping, text, texts

_RANGES = re.compile(r"\s*\d{1,5}\s*(-\s*\d{1,5}\s*)?(,\s*\d{1,5}\s*(-\s*\d{1,5}\s*)?){0,1000}")
_LAST_INT = 2**31 - 1
_LAST_TIME = 2**64 - 1


class Scheduler(NamedTuple):
    """``process.scheduler``: sched_setattr(2)."""

    policy: int
    flags: int
    nice: int
    priority: int
    times: tuple[int, int, int]
    """Runtime, deadline and period, in nanoseconds."""


class MemoryPolicy(NamedTuple):
    """``linux.memoryPolicy``: set_mempolicy(2)."""

    mode: int
    nodes: tuple[int, ...]


def parse_scheduler(document: Any) -> Scheduler:
    """``process.scheduler``."""
    where = "process.scheduler"
    found = mapping(document, where)
    flags = 0
    for name in texts(found, "flags", 64):
        flags |= _choice(FLAGS, name, f"{where}.flags")
    runtime, deadline, period = (
        integer(found, name, where, 0, _LAST_TIME) for name in ("runtime", "deadline", "period")
    )
    return Scheduler(
        policy=_choice(POLICIES, text(found, "policy", where), f"{where}.policy"),
        flags=flags,
        nice=integer(found, "nice", where, -20, 19),
        priority=integer(found, "priority", where, 0, _LAST_INT),
        times=(runtime, deadline, period),
    )


def parse_io_priority(document: Any) -> tuple[int, int]:
    """``process.ioPriority``: class and level."""
    where = "process.ioPriority"
    found = mapping(document, where)
    kind = _choice(IO_CLASSES, text(found, "class", where), f"{where}.class")
    return kind, integer(found, "priority", where, 0, 7)


def parse_personality(document: Any) -> int:
    """``linux.personality``. It has no flags yet."""
    where = "linux.personality"
    found = mapping(document, where)
    if flags := texts(found, "flags", 64):
        raise Invalid(f"config: {where}.flags: {flags[0]!r}: there are none in this version")
    return _choice(DOMAINS, text(found, "domain", where), f"{where}.domain")


def parse_affinity(document: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``process.execCPUAffinity``: processors before and after the change of control group."""
    where = "process.execCPUAffinity"
    found = mapping(document, where)
    initial, final = (
        numbers(text(found, name, where, default=""), f"{where}.{name}")
        for name in ("initial", "final")
    )
    return initial, final


def parse_memory_policy(document: Any) -> MemoryPolicy:
    """``linux.memoryPolicy``."""
    where = "linux.memoryPolicy"
    found = mapping(document, where)
    mode = _choice(MEMORY_MODES, text(found, "mode", where), f"{where}.mode")
    for name in texts(found, "flags", 64):
        mode |= _choice(MEMORY_FLAGS, name, f"{where}.flags")
    return MemoryPolicy(mode, numbers(text(found, "nodes", where, default=""), f"{where}.nodes"))


def numbers(ranges: str, where: str) -> tuple[int, ...]:
    """``0-2,5`` as the numbers that it stands for, each below 4096."""
    if not ranges.strip():
        return ()
    if not _RANGES.fullmatch(ranges):
        raise Invalid(f"config: {where}: {ranges[:80]!r}: not like 0-2,4")
    found: set[int] = set()
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if not low <= high < 4096:
            raise Invalid(f"config: {where}: {part.strip()!r}: not a range below 4096")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _choice(table: dict[str, int], name: str, where: str) -> int:
    if name not in table:
        raise Invalid(f"config: {where}: {name[:80]!r}; one of {', '.join(table)}")
    return table[name]
