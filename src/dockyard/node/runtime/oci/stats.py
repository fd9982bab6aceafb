"""Turns a container's control group into the numbers that `events` prints: runc's shape."""

from __future__ import annotations

from typing import Any

from dockyard.base.linux import cgroupfs, cgroupstats
from dockyard.base.linux.cgroupstats import Amount, Transfer

CPUSET_FLAGS = {
    "cpu_exclusive": "cpu_exclusive", "mem_hardwall": "mem_hardwall",
    "mem_exclusive": "mem_exclusive", "memory_migrate": "memory_migrate",
    "memory_spread_page": "memory_spread_page", "memory_spread_slab": "memory_spread_slab",
    "memory_pressure": "memory_pressure", "sched_load_balance": "sched_load_balance",
    "sched_relax_domain_level": "sched_relax_domain_level",
}  # fmt: skip
NO_LIMIT = {True: 2**63 - 4096, False: 2**64 - 1}
"""What runc says of memory without a limit: version 1's largest number of pages, or all bits."""


def read(path: str) -> dict[str, Any]:
    """Everything that the machine counts for the group. What it does not count is missing."""
    block = cgroupstats.block(path)
    blkio = {"ioServiceBytesRecursive": block.bytes, "ioServicedRecursive": block.requests}
    return {
        "cpu": _cpu(cgroupstats.cpu(path)),
        "cpuset": _cpuset(cgroupfs.folder("cpuset", cgroupfs.below(path))),
        "memory": _memory(cgroupstats.memory(path)),
        "pids": _limited("current", *cgroupstats.pids(path)),
        "blkio": {name: [_transfer(each) for each in rows] for name, rows in blkio.items() if rows},
        "hugetlb": {size: _pages(used) for size, used in cgroupstats.hugetlb(path).items()},
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu(used: cgroupstats.Cpu) -> dict[str, Any]:
    usage: dict[str, Any] = {"total": used.total, "kernel": used.kernel, "user": used.user}
    for name, each in (
        ("percpu", used.each), ("percpu_user", used.each_user), ("percpu_kernel", used.each_kernel),
    ):  # fmt: skip
        if each:
            usage[name] = list(each)
    throttling = {
        "periods": used.periods,
        "throttledPeriods": used.throttled_periods,
        "throttledTime": used.throttled,
    }
    return {"usage": usage, "throttling": {name: n for name, n in throttling.items() if n}}


def _cpuset(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: _numbers(cgroupfs.read(f"{folder}/cpuset.{name}") or "") for name in ("cpus", "mems")
    }
    for name, file in CPUSET_FLAGS.items():
        text = cgroupfs.read(f"{folder}/cpuset.{file}")
        if text is not None:
            found[name] = int(text)
    return found


def _numbers(text: str) -> list[int]:
    """``0-2,4`` as a list."""
    found: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def _memory(used: cgroupstats.Memory) -> dict[str, Any]:
    found: dict[str, Any] = {"usage": _amount(used.usage), "swap": _amount(used.both)}
    if "memory" in cgroupfs.layout().v1:
        found |= {"kernel": _amount(used.kernel), "kernelTCP": _amount(used.kernel_tcp)}
    if used.cache:
        found["cache"] = used.cache
    return {**found, "raw": used.raw}


def _amount(used: Amount) -> dict[str, int]:
    limit = NO_LIMIT["memory" in cgroupfs.layout().v1] if used.limit is None else used.limit
    return {"usage": used.used, "limit": limit, "max": used.most, "failcnt": used.failures}


def _limited(name: str, now: int, limit: int | None) -> dict[str, int]:
    """A count and its limit, which is missing where there is none."""
    return {name: now} if limit is None else {name: now, "limit": limit}


def _transfer(each: Transfer) -> dict[str, Any]:
    return {"major": each.major, "minor": each.minor, "op": each.operation, "value": each.value}


def _pages(used: Amount) -> dict[str, int]:
    return {"usage": used.used, "max": used.most, "failcnt": used.failures}
