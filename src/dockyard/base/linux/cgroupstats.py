"""Turns a control group into what it has used: one set of values for both versions.

What a machine does not count is zero or empty: it may lack a controller, and a group may go while
it is looked at. Numbers are those of the group and of the groups below it; no limit is None. Paths
are as a specification has them (``linux.cgroupsPath``).
"""

# no postponed annotations: typing compiles each of a NamedTuple's that is a string
import os
from typing import NamedTuple

from dockyard.base.linux import cgroupfs

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of one unit of cpuacct.stat."""
UNLIMITED = 2**62
"""Version 1 says no limit with the largest number of pages."""
OPERATIONS = {"rbytes": "Read", "wbytes": "Write", "dbytes": "Discard",
              "rios": "Read", "wios": "Write", "dios": "Discard"}  # fmt: skip
"""Words of version 2's io.stat as version 1 names them."""
V1_BLOCK_PREFIXES = ("blkio.throttle.io_", "blkio.io_", "blkio.bfq.io_")
"""Which files count depends on a device's scheduler (cgroup-v1/blkio-controller.rst)."""


class Cpu(NamedTuple):
    """Processor time, in nanoseconds."""

    total: int = 0
    user: int = 0
    kernel: int = 0
    each: tuple[int, ...] = ()
    """Of each processor: version 1 alone counts so."""
    each_user: tuple[int, ...] = ()
    each_kernel: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled: int = 0


class Amount(NamedTuple):
    """Bytes of one kind."""

    used: int = 0
    most: int = 0
    """What has been used at most, where that is counted."""
    limit: int | None = None
    failures: int = 0
    """How often the limit has been met."""


class Memory(NamedTuple):
    """Memory, in bytes. ``both`` is memory and swap in version 1, swap alone in version 2."""

    usage: Amount = Amount()
    both: Amount = Amount()
    kernel: Amount = Amount()
    kernel_tcp: Amount = Amount()
    cache: int = 0
    inactive_file: int = 0
    anonymous: int = 0
    oom_kills: int = 0
    raw: dict[str, int] = {}
    """Every line of memory.stat."""

    @property
    def working_set(self) -> int:
        """Without page cache that nobody has looked at for long, as cAdvisor and docker have it."""
        return max(0, self.usage.used - self.inactive_file)


class Transfer(NamedTuple):
    """What has gone to or come from a block device."""

    major: int
    minor: int
    operation: str
    """``Read``, ``Write``, ``Discard``; in version 1 also ``Sync``, ``Async``, ``Total``."""
    value: int


class Block(NamedTuple):
    """Block devices: bytes, and requests."""

    bytes: tuple[Transfer, ...] = ()
    requests: tuple[Transfer, ...] = ()

    def sum(self, operation: str) -> int:
        """Bytes of all devices."""
        return sum(each.value for each in self.bytes if each.operation == operation)


class Pids(NamedTuple):
    """Processes and threads."""

    current: int = 0
    limit: int | None = None


def cpu(path: str) -> Cpu:
    """The cpu and cpuacct controllers."""
    path = cgroupfs.below(path)
    if "cpuacct" in cgroupfs.layout().v1:
        return _cpu_v1(cgroupfs.folder("cpuacct", path), cgroupfs.folder("cpu", path))
    counted = cgroupfs.flat(f"{_unified(path)}/cpu.stat")
    return Cpu(
        total=counted.get("usage_usec", 0) * 1000,
        user=counted.get("user_usec", 0) * 1000,
        kernel=counted.get("system_usec", 0) * 1000,
        periods=counted.get("nr_periods", 0),
        throttled_periods=counted.get("nr_throttled", 0),
        throttled=counted.get("throttled_usec", 0) * 1000,
    )


def _cpu_v1(account: str, share: str) -> Cpu:
    ticks = cgroupfs.flat(f"{account}/cpuacct.stat")
    counted = cgroupfs.flat(f"{share}/cpu.stat")
    rows = (cgroupfs.read(f"{account}/cpuacct.usage_all") or "").splitlines()[1:]
    return Cpu(
        total=cgroupfs.number(f"{account}/cpuacct.usage"),
        user=ticks.get("user", 0) * TICK,
        kernel=ticks.get("system", 0) * TICK,
        each=tuple(int(word) for word in cgroupfs.words(f"{account}/cpuacct.usage_percpu")),
        each_user=tuple(int(row.split()[1]) for row in rows),
        each_kernel=tuple(int(row.split()[2]) for row in rows),
        periods=counted.get("nr_periods", 0),
        throttled_periods=counted.get("nr_throttled", 0),
        throttled=counted.get("throttled_time", 0),
    )


def memory(path: str) -> Memory:
    """The memory controller."""
    folder = cgroupfs.folder("memory", cgroupfs.below(path))
    raw = cgroupfs.flat(f"{folder}/memory.stat")
    if "memory" in cgroupfs.layout().v1:
        return Memory(
            usage=_amount_v1(f"{folder}/memory"),
            both=_amount_v1(f"{folder}/memory.memsw"),
            kernel=_amount_v1(f"{folder}/memory.kmem"),
            kernel_tcp=_amount_v1(f"{folder}/memory.kmem.tcp"),
            cache=raw.get("total_cache", 0),
            inactive_file=raw.get("total_inactive_file", 0),
            anonymous=raw.get("total_rss", 0),
            oom_kills=cgroupfs.flat(f"{folder}/memory.oom_control").get("oom_kill", 0),
            raw=raw,
        )
    events = cgroupfs.flat(f"{folder}/memory.events")
    return Memory(
        usage=Amount(
            cgroupfs.number(f"{folder}/memory.current"),
            cgroupfs.number(f"{folder}/memory.peak"),
            _limit(f"{folder}/memory.max"),
            events.get("max", 0),
        ),
        both=Amount(
            cgroupfs.number(f"{folder}/memory.swap.current"),
            cgroupfs.number(f"{folder}/memory.swap.peak"),
            _limit(f"{folder}/memory.swap.max"),
            cgroupfs.flat(f"{folder}/memory.swap.events").get("max", 0),
        ),
        cache=raw.get("file", 0),
        inactive_file=raw.get("inactive_file", 0),
        anonymous=raw.get("anon", 0),
        oom_kills=events.get("oom_kill", 0),
        raw=raw,
    )


def _amount_v1(prefix: str) -> Amount:
    return Amount(
        cgroupfs.number(f"{prefix}.usage_in_bytes"),
        cgroupfs.number(f"{prefix}.max_usage_in_bytes"),
        _limit(f"{prefix}.limit_in_bytes"),
        cgroupfs.number(f"{prefix}.failcnt"),
    )


def pids(path: str) -> Pids:
    """The pids controller."""
    folder = cgroupfs.folder("pids", cgroupfs.below(path))
    return Pids(cgroupfs.number(f"{folder}/pids.current"), _limit(f"{folder}/pids.max"))


def block(path: str) -> Block:
    """The blkio controller, or io."""
    path = cgroupfs.below(path)
    if "blkio" in cgroupfs.layout().v1:
        folder = cgroupfs.folder("blkio", path)
        return Block(_transfers(folder, "service_bytes"), _transfers(folder, "serviced"))
    devices = cgroupfs.parse_nested(cgroupfs.read(f"{_unified(path)}/io.stat") or "")
    found: dict[str, list[Transfer]] = {"bytes": [], "ios": []}
    for device, counted in devices.items():
        for word, value in counted.items():
            if word in OPERATIONS:
                found[word[1:]].append(_transfer(device, OPERATIONS[word], value))
    return Block(tuple(found["bytes"]), tuple(found["ios"]))


def _transfers(folder: str, what: str) -> tuple[Transfer, ...]:
    """Of the file that counts most."""
    best: tuple[Transfer, ...] = ()
    for prefix in V1_BLOCK_PREFIXES:
        text = cgroupfs.read(f"{folder}/{prefix}{what}_recursive") or ""
        rows = [line.split() for line in text.splitlines()]
        found = tuple(_transfer(*row) for row in rows if len(row) == 3 and ":" in row[0])
        if sum(each.value for each in found) > sum(each.value for each in best) or not best:
            best = found or best
    return best


def _transfer(device: str, operation: str, value: str) -> Transfer:
    major, _, minor = device.partition(":")
    return Transfer(int(major), int(minor), operation, int(value))


def hugetlb(path: str) -> dict[str, Amount]:
    """Page size (``2MB``) -> bytes of such pages."""
    folder = cgroupfs.folder("hugetlb", cgroupfs.below(path))
    v1 = "hugetlb" in cgroupfs.layout().v1
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        parts = name.split(".")
        if len(parts) != 3 or parts[0] != "hugetlb":
            continue
        prefix = f"{folder}/hugetlb.{parts[1]}"
        if v1 and parts[2] == "usage_in_bytes":
            found[parts[1]] = _amount_v1(prefix)
        elif not v1 and parts[2] == "current":
            failures = cgroupfs.flat(f"{prefix}.events").get("max", 0)
            used, limit = cgroupfs.number(f"{prefix}.current"), _limit(f"{prefix}.max")
            found[parts[1]] = Amount(used, 0, limit, failures)
    return found


def _unified(path: str) -> str:
    return f"{cgroupfs.layout().v2}/{path}"


def _limit(file: str) -> int | None:
    text = (cgroupfs.read(file) or "max").strip()
    return int(text) if text.isdigit() and int(text) < UNLIMITED else None
