"""Turns ``resources.cpu`` into the files of the cpu controller: weight and bandwidth."""

from __future__ import annotations

from dockyard.node.runtime.cgroups.controller import Write, current, number, only_v1, section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


PERIOD = 100_000
"""The kernel's own, in microseconds (scheduler/sched-bwc.rst)."""
LEAST_SHARES, MOST_SHARES = 2, 262_144


class Cpu:
    """cpu; times are microseconds."""

    name = in_v2 = member = "cpu"

    def v1(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        cpu = section(resources, "cpu")
        if not cpu:
            return
        period, quota = number(cpu, "period", "cpu", 0), number(cpu, "quota", "cpu")
        yield from _weight(cpu, "cpu.shares", number(cpu, "shares", "cpu", 0))
        writes = []
        if period:
            writes.append(("cpu.cfs_period_us", str(period)))
        if quota:
            writes.append(("cpu.cfs_quota_us", str(quota)))
        # the share of a processor in between must not be above the one before and the one after
        if len(writes) == 2 and period and period < (current(now, "cpu.cfs_period_us") or PERIOD):
            writes.reverse()
        yield from _with_burst(cpu, writes, "cpu.cfs_burst_us", now)
        times = []
        for member, file in (
            ("realtimePeriod", "cpu.rt_period_us"),
            ("realtimeRuntime", "cpu.rt_runtime_us"),
        ):
            if value := number(cpu, member, "cpu"):
                times.append((file, value))
        if len(times) == 2 and times[0][1] < (current(now, "cpu.rt_runtime_us") or 0):
            times.reverse()  # a period is never shorter than what runs in it
        yield from ((file, str(value)) for file, value in times)

    def v2(self, resources: Mapping[str, Any], now: Now) -> Iterator[Write]:
        cpu = section(resources, "cpu")
        if not cpu:
            return
        for member in ("realtimePeriod", "realtimeRuntime"):
            if number(cpu, member, "cpu"):
                raise only_v1(f"cpu.{member}")
        shares = number(cpu, "shares", "cpu", 0)
        yield from _weight(cpu, "cpu.weight", weight(shares) if shares else None)
        period, quota = number(cpu, "period", "cpu", 0), number(cpu, "quota", "cpu")
        writes = []
        if period or quota:
            before = (now("cpu.max") or "").split() or ["max", str(PERIOD)]
            limit = before[0] if not quota else "max" if quota < 0 else str(quota)
            writes.append(("cpu.max", f"{limit} {period or before[1]}"))
        yield from _with_burst(cpu, writes, "cpu.max.burst", now)


def weight(shares: int) -> int:
    """Version 2's weight (1 to 10000) of shares (2 to 262144), as runc and Kubernetes have it
    (KEP-2254)."""
    bounded = min(max(shares, LEAST_SHARES), MOST_SHARES)
    return 1 + (bounded - LEAST_SHARES) * 9999 // (MOST_SHARES - LEAST_SHARES)


def _weight(cpu: Mapping[str, Any], file: str, value: int | None) -> Iterator[Write]:
    """A group that is idle takes no weight: it stops being idle before, and is so after."""
    idle = number(cpu, "idle", "cpu", 0, 1)
    if idle == 0:
        yield "cpu.idle", "0"
    if value:
        yield file, str(value)
    if idle == 1:
        yield "cpu.idle", "1"


def _with_burst(
    cpu: Mapping[str, Any], writes: list[Write], file: str, now: Now
) -> Iterator[Write]:
    """A burst is never above the quota: a lower one is written before, a higher one after."""
    burst = number(cpu, "burst", "cpu", 0)
    if burst is None:
        yield from writes
    elif burst <= (current(now, file) or 0):
        yield file, str(burst)
        yield from writes
    else:
        yield from writes
        yield file, str(burst)
