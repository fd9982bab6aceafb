"""Turns a container's control group into what it has used (cgroup-v1, cgroup-v2.rst of the kernel).

Files that are not there count as zero: a machine may lack a controller, and a container may end
while it is looked at.
"""

from __future__ import annotations

import os

from dockyard.interfaces.ociruntime import Usage

BASE = "/sys/fs/cgroup"
UNLIMITED = 2**62
"""Version 1 says no limit with the largest number of pages."""


def read(path: str) -> Usage:
    """The use of a group and of those below it."""
    path = path.strip("/")
    unified = f"{BASE}/{path}"
    return _v2(unified) if os.path.exists(f"{unified}/cgroup.controllers") else _v1(path)


def _v1(path: str) -> Usage:
    memory = f"{BASE}/memory/{path}"
    stat = _fields(f"{memory}/memory.stat")
    limit = stat.get("hierarchical_memory_limit", 0)
    read, written = _v1_blocks(f"{BASE}/blkio/{path}")
    return Usage(
        cpu=_number(f"{BASE}/cpuacct/{path}/cpuacct.usage"),
        memory=_active(_number(f"{memory}/memory.usage_in_bytes"),
                       stat.get("total_inactive_file", 0)),
        memory_limit=limit if limit < UNLIMITED else 0,
        read=read,
        written=written,
        pids=_number(f"{BASE}/pids/{path}/pids.current"),
    )  # fmt: skip


def _v1_blocks(folder: str) -> tuple[int, int]:
    """Bytes read and written; which file counts them depends on the scheduler of the device."""
    best = (0, 0)
    for name in ("blkio.throttle.io_service_bytes_recursive", "blkio.io_service_bytes_recursive",
                 "blkio.bfq.io_service_bytes_recursive"):  # fmt: skip
        sums = {"Read": 0, "Write": 0}
        for words in _lines(f"{folder}/{name}"):
            if len(words) == 3 and words[1] in sums:
                sums[words[1]] += int(words[2])
        best = max(best, (sums["Read"], sums["Write"]))
    return best


def _v2(folder: str) -> Usage:
    limit = "".join("".join(words) for words in _lines(f"{folder}/memory.max"))
    counted = [dict(word.partition("=")[::2] for word in words[1:])
               for words in _lines(f"{folder}/io.stat")]  # fmt: skip
    return Usage(
        cpu=_fields(f"{folder}/cpu.stat").get("usage_usec", 0) * 1000,
        memory=_active(_number(f"{folder}/memory.current"),
                       _fields(f"{folder}/memory.stat").get("inactive_file", 0)),
        memory_limit=int(limit) if limit.isdecimal() else 0,
        read=sum(int(device.get("rbytes", 0)) for device in counted),
        written=sum(int(device.get("wbytes", 0)) for device in counted),
        pids=_number(f"{folder}/pids.current"),
    )  # fmt: skip


def _active(used: int, inactive: int) -> int:
    return used - inactive if inactive < used else used


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path) as file:
            return [line.split() for line in file]
    except OSError:  # also ENODEV, of a group that goes away while it is read
        return []


def _fields(path: str) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in _lines(path) if len(words) == 2}


def _number(path: str) -> int:
    lines = _lines(path)
    return int(lines[0][0]) if lines and lines[0] else 0
