"""Turns ``resources.memory`` (bytes; -1: no limit) into the memory controller's files."""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.node.runtime.cgroups.controller import Write, current, flag, number, only_v1, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


class Memory:
    """memory (cgroup-v1/memory.rst and cgroup-v2.rst of the kernel)."""

    name = in_v2 = member = "memory"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        memory = section(resources, "memory")
        if not memory:
            return
        if number(memory, "kernel", "memory"):
            raise Unsupported(
                "config: linux.resources.memory.kernel: the kernel takes no such limit since Linux"
                " 5.16; memory.limit counts its memory too"
            )
        limit, swap = number(memory, "limit", "memory"), number(memory, "swap", "memory")
        if limit:
            _check_usage(memory, limit, current(now, "memory.usage_in_bytes"))
        hierarchy = flag(memory, "useHierarchy", "memory")
        if hierarchy is not None and current(now, "memory.use_hierarchy") not in (None, hierarchy):
            raise Unsupported(
                "config: linux.resources.memory.useHierarchy: false: since Linux 5.11 every group"
                " counts what is below it"
            )
        if limit == -1 and not swap and _is_limited(current(now, "memory.memsw.limit_in_bytes")):
            swap = -1  # without it memory cannot be unlimited
        writes = []
        if limit:
            writes.append(("memory.limit_in_bytes", str(limit)))
        if swap:
            writes.append(("memory.memsw.limit_in_bytes", str(swap)))
        # memory is never above memory and swap: the one that grows beyond the other comes later
        if len(writes) == 2 and limit and _grows(limit, current(now, writes[1][0])):
            writes.reverse()
        yield from writes
        for member, file in (
            ("reservation", "memory.soft_limit_in_bytes"),
            ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
        ):
            if value := number(memory, member, "memory"):
                yield file, str(value)
        if (swappiness := number(memory, "swappiness", "memory", 0, 100)) is not None:
            yield "memory.swappiness", str(swappiness)
        disable = flag(memory, "disableOOMKiller", "memory")
        if disable or (disable is False and _oom_disabled(now)):
            yield "memory.oom_control", str(int(disable))

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        memory = section(resources, "memory")
        if not memory:
            return
        for member in ("kernel", "kernelTCP"):
            if number(memory, member, "memory"):
                raise only_v1(f"memory.{member}", "memory.limit counts the kernel's memory too")
        if number(memory, "swappiness", "memory", 0, 100) is not None:
            raise only_v1("memory.swappiness")
        if flag(memory, "disableOOMKiller", "memory"):
            raise only_v1("memory.disableOOMKiller")
        if flag(memory, "useHierarchy", "memory") is False:
            raise only_v1("memory.useHierarchy", "every group counts what is below it")
        limit, swap = number(memory, "limit", "memory"), number(memory, "swap", "memory")
        if limit:
            _check_usage(memory, limit, current(now, "memory.current"))
        if swap:
            yield "memory.swap.max", _swap_alone(swap, limit, now)
        if limit:
            yield "memory.max", _or_max(limit)
        if reservation := number(memory, "reservation", "memory"):
            yield "memory.low", _or_max(reservation)


def _swap_alone(swap: int, limit: int | None, now: Now) -> str:
    """The specification counts memory and swap together, version 2 swap alone."""
    if swap < 0:
        return "max"
    if not limit:
        limit = current(now, "memory.max")
        if limit is None:
            raise Invalid(
                "config: linux.resources.memory.swap: with cgroup v2 only beside memory.limit:"
                " it counts both"
            )
    if limit < 0:
        raise Invalid(
            f"config: linux.resources.memory.swap: {swap}: memory.limit is -1, without limit"
        )
    if swap < limit:
        raise Invalid(
            f"config: linux.resources.memory.swap: {swap}: below memory.limit {limit}, which it"
            " includes"
        )
    return str(swap - limit)


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


def _is_limited(bytes_: int | None) -> bool:
    """The kernel says a number near 2**63 where there is no limit."""
    return bytes_ is not None and 0 <= bytes_ < 1 << 62


def _grows(limit: int, both: int | None) -> bool:
    """Whether a limit (-1: none) lies above what holds for memory and swap now."""
    return both is not None and both >= 0 and (limit < 0 or limit > both)


def _check_usage(memory: Mapping[str, Any], limit: int, usage: int | None) -> None:
    """config-linux.md, checkBeforeUpdate: what is used already is refused as a limit."""
    if flag(memory, "checkBeforeUpdate", "memory") and usage is not None and 0 <= limit < usage:
        raise Conflict(
            f"cgroup: memory.limit {limit}: {usage} bytes are used already"
            f" ({os.strerror(errno.EBUSY).lower()})"
        )


def _oom_disabled(now: Now) -> bool:
    return "oom_kill_disable 1" in (now("memory.oom_control") or "")
