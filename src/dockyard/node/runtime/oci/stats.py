"""Turns a container's control group into the numbers that `events` prints: runc's shape."""

from __future__ import annotations

import os
from typing import Any

from dockyard.base.linux import cgroupfs

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of one unit of cpuacct.stat."""
V1_MEMORY = {"usage": "memory", "swap": "memory.memsw", "kernel": "memory.kmem",
             "kernelTCP": "memory.kmem.tcp"}  # fmt: skip
V1_BLOCK = {
    "ioServiceBytesRecursive": "blkio.throttle.io_service_bytes_recursive",
    "ioServicedRecursive": "blkio.throttle.io_serviced_recursive",
}
CPUSET_FLAGS = {
    "cpu_exclusive": "cpu_exclusive", "mem_hardwall": "mem_hardwall",
    "mem_exclusive": "mem_exclusive", "memory_migrate": "memory_migrate",
    "memory_spread_page": "memory_spread_page", "memory_spread_slab": "memory_spread_slab",
    "memory_pressure": "memory_pressure", "sched_load_balance": "sched_load_balance",
    "sched_relax_domain_level": "sched_relax_domain_level",
}  # fmt: skip


def read(path: str) -> dict[str, Any]:
    """Everything that the machine counts for the group. What it does not count is missing."""
    path = path.strip("/")
    has = cgroupfs.layout().v1
    at = {
        name: cgroupfs.folder(name, path)
        for name in ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb")
    }
    return {
        "cpu": _cpu_v1(at) if "cpuacct" in has else _cpu_v2(at["cpu"]),
        "cpuset": _cpuset(at["cpuset"]),
        "memory": _memory_v1(at["memory"]) if "memory" in has else _memory_v2(at["memory"]),
        "pids": _limited(at["pids"], "pids.current", "pids.max"),
        "blkio": _blkio_v1(at["blkio"]) if "blkio" in has else _blkio_v2(at["cpu"]),
        "hugetlb": _hugetlb(at["hugetlb"], "usage_in_bytes" if "hugetlb" in has else "current"),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu_v1(at: dict[str, str]) -> dict[str, Any]:
    folder, ticks = at["cpuacct"], cgroupfs.flat(f"{at['cpuacct']}/cpuacct.stat")
    usage: dict[str, Any] = {
        "total": cgroupfs.number(f"{folder}/cpuacct.usage"),
        "percpu": [int(word) for word in cgroupfs.words(f"{folder}/cpuacct.usage_percpu")],
        "kernel": ticks.get("system", 0) * TICK,
        "user": ticks.get("user", 0) * TICK,
    }
    rows = (cgroupfs.read(f"{folder}/cpuacct.usage_all") or "").splitlines()[1:]
    for index, name in ((1, "percpu_user"), (2, "percpu_kernel")):
        usage[name] = [int(row.split()[index]) for row in rows]
    return {"usage": usage, "throttling": _throttling(cgroupfs.flat(f"{at['cpu']}/cpu.stat"), 1)}


def _cpu_v2(folder: str) -> dict[str, Any]:
    counted = cgroupfs.flat(f"{folder}/cpu.stat")
    usage = {
        name: counted.get(key, 0) * 1000
        for name, key in (("total", "usage_usec"), ("kernel", "system_usec"), ("user", "user_usec"))
    }
    return {"usage": usage, "throttling": _throttling(counted, 1000)}


def _throttling(counted: dict[str, int], unit: int) -> dict[str, int]:
    time = counted.get("throttled_time", counted.get("throttled_usec", 0))
    found = {
        "periods": counted.get("nr_periods", 0),
        "throttledPeriods": counted.get("nr_throttled", 0),
        "throttledTime": time * unit,
    }
    return {name: value for name, value in found.items() if value}


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


def _memory_v1(folder: str) -> dict[str, Any]:
    raw = cgroupfs.flat(f"{folder}/memory.stat")
    found: dict[str, Any] = {}
    for name, prefix in V1_MEMORY.items():
        counted = _limited(folder, f"{prefix}.usage_in_bytes", f"{prefix}.limit_in_bytes", "usage")
        counted["max"] = cgroupfs.number(f"{folder}/{prefix}.max_usage_in_bytes")
        counted["failcnt"] = cgroupfs.number(f"{folder}/{prefix}.failcnt")
        found[name] = counted
    if raw.get("cache"):
        found["cache"] = raw["cache"]
    return {**found, "raw": raw}


def _memory_v2(folder: str) -> dict[str, Any]:
    raw = cgroupfs.flat(f"{folder}/memory.stat")
    events = cgroupfs.flat(f"{folder}/memory.events")
    usage = _limited(folder, "memory.current", "memory.max", "usage")
    usage["max"] = cgroupfs.number(f"{folder}/memory.peak")
    usage["failcnt"] = events.get("max", 0)
    swap = _limited(folder, "memory.swap.current", "memory.swap.max", "usage")
    return {"usage": usage, "swap": swap, "cache": raw.get("file", 0), "raw": raw}


def _limited(folder: str, now: str, most: str, name: str = "current") -> dict[str, int]:
    """A count and its limit, which is missing where there is none."""
    found = {name: cgroupfs.number(f"{folder}/{now}")}
    limit = (cgroupfs.read(f"{folder}/{most}") or "max").strip()
    return found if limit == "max" else {**found, "limit": int(limit)}


def _blkio_v1(folder: str) -> dict[str, Any]:
    found = {}
    for name, file in V1_BLOCK.items():
        rows = [line.split() for line in (cgroupfs.read(f"{folder}/{file}") or "").splitlines()]
        entries = [
            _block(row[0], row[1], int(row[2])) for row in rows if len(row) == 3 and ":" in row[0]
        ]
        if entries:
            found[name] = entries
    return found


def _blkio_v2(folder: str) -> dict[str, Any]:
    kinds = {
        "ioServiceBytesRecursive": {"rbytes": "Read", "wbytes": "Write"},
        "ioServicedRecursive": {"rios": "Read", "wios": "Write"},
    }
    devices = cgroupfs.parse_nested(cgroupfs.read(f"{folder}/io.stat") or "")
    found = {}
    for name, words in kinds.items():
        entries = [
            _block(device, words[key], int(value))
            for device, counted in devices.items()
            for key, value in counted.items()
            if key in words
        ]
        if entries:
            found[name] = entries
    return found


def _block(device: str, operation: str, value: int) -> dict[str, Any]:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": value}


def _hugetlb(folder: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        parts = name.split(".", 2)
        if len(parts) == 3 and parts[0] == "hugetlb" and parts[2] == file:
            found[parts[1]] = {
                "usage": cgroupfs.number(f"{folder}/{name}"),
                "max": cgroupfs.number(f"{folder}/hugetlb.{parts[1]}.max_usage_in_bytes"),
                "failcnt": cgroupfs.number(f"{folder}/hugetlb.{parts[1]}.failcnt"),
            }
    return found
