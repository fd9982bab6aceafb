"""Turns ``slice:prefix:name`` into a scope that systemd makes, and limits into its properties.

The systemd driver of runc: the group of a container is a transient scope unit, so systemd knows of
it and leaves what is inside alone (``Delegate``). Limits are written to the group's files as with
the other driver; systemd gets those that it has names for, because it writes its own idea of
them at each daemon-reload. Version 2 only: in version 1 a daemon-reload opens every device again.
See org.freedesktop.systemd1(5) and systemd.resource-control(5).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import Denied, DockyardError, Invalid, NotFound, Unsupported
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime.cgroups import controller, cpu, cpuset, dbus, group

BOOTED = "/run/systemd/system"
"""sd_booted(3)."""
PRIVATE = "/run/systemd/private"
DEFAULT_SLICE, DEFAULT_PREFIX = "system.slice", "dockyard"
SECONDS = 25.0
_MANAGER = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_SLICE = re.compile(r"[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice")
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}")
NO_SUCH_UNIT = "NoSuchUnit"
EVERYTHING = 2**64 - 1
"""No limit, as systemd has it."""
CGROUP_PERIOD = 100_000
Property = tuple[str, tuple[str, Any]]


class Scope(NamedTuple):
    """A container's unit."""

    slice: str
    unit: str

    @property
    def path(self) -> str:
        """Of its group: a slice is below those that its name begins with."""
        if self.slice == "-.slice":
            return self.unit
        parts = self.slice.removesuffix(".slice").split("-")
        above = ["-".join(parts[: length + 1]) + ".slice" for length in range(len(parts))]
        return "/".join([*above, self.unit])


def check() -> None:
    """Whether the driver can work here."""
    if not os.path.isdir(BOOTED):
        raise Unsupported("--systemd-cgroup: systemd not running on this host, cannot use systemd"
                          " cgroups manager")  # fmt: skip
    if os.geteuid() != 0:
        raise Unsupported("--systemd-cgroup: only for root; an ordinary user's groups are made"
                          " directly, below what is delegated")  # fmt: skip
    if not cgroupfs.layout().pure:
        raise Unsupported("--systemd-cgroup: only with cgroup v2: systemd opens version 1's devices"
                          " at each daemon-reload; use the cgroupfs driver")  # fmt: skip


def parse(path: str, container_id: str) -> Scope:
    """``slice:prefix:name``; runc's defaults where it is empty."""
    if not path:
        return Scope(DEFAULT_SLICE, f"{DEFAULT_PREFIX}-{container_id}.scope")
    parts = path.split(":")
    if len(parts) != 3:
        raise Invalid(
            'config: linux.cgroupsPath: expected cgroupsPath to be of format "slice:prefix:name"'
            f" for systemd cgroups, got {path!r} instead"
        )
    where, prefix, name = parts
    where = where or DEFAULT_SLICE
    unit = f"{prefix}-{name}" if prefix else name
    if where != "-.slice" and not _SLICE.fullmatch(where):
        raise Invalid(f"config: linux.cgroupsPath: {where!r}: not a slice, like machine.slice")
    if not _NAME.fullmatch(unit) or unit.startswith("."):
        raise Invalid(f"config: linux.cgroupsPath: {unit!r}: not a unit's name")
    return Scope(where, unit if unit.endswith(".scope") else f"{unit}.scope")


class Placeholder:
    """A process that is in the scope until the container's init is: without one there is none."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writer)
            os.closerange(0, reader)
            os.closerange(reader + 1, 1024)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)

    def end(self) -> None:
        """It is not needed any more. Not by the pipe alone: a fork of this process has it too."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def create(scope: Scope, resources: Mapping[str, Any], description: str) -> Placeholder:
    """Make the scope and its group with its limits. The caller ends the placeholder when the
    container's init has joined the group."""
    wanted = properties(resources)
    placeholder = Placeholder()
    try:
        _start(scope, placeholder.pid, wanted, description)
    except BaseException:  # the name may be another container's
        placeholder.end()
        raise
    try:
        group.create(scope.path, resources, placeholder.pid)
    except BaseException:
        placeholder.end()
        with contextlib.suppress(DockyardError, OSError):
            remove(scope.path)
        raise
    return placeholder


def _start(scope: Scope, pid: int, limits: list[Property], description: str) -> None:
    asked: list[Property] = [
        ("Description", ("s", description)),
        ("Slice", ("s", scope.slice)),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        *((f"{name}Accounting", ("b", True)) for name in ("CPU", "IO", "Memory", "Tasks")),
        *limits,
    ]
    with dbus.Peer(PRIVATE, SECONDS) as manager:
        arguments: tuple[Any, ...] = (scope.unit, "fail", asked, [])
        (job,) = manager.call(*_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", *arguments)
        result = _result(manager, job)
    if result != "done":
        raise Denied(f"systemd: {scope.unit}: its start ended as {result}")


def _result(manager: dbus.Peer, job: str) -> str:
    """How a job ends."""
    for _, removed, _, result in manager.signals("JobRemoved"):
        if removed == job:
            return str(result)
    raise AssertionError("signals come until the connection is closed")


def remove(path: str) -> None:
    """End what is in a scope, let systemd forget it, and remove what is left of its group.

    systemd does not see that a group has gone, only that the last process of one has ended.
    """
    group.signal_all(path, signal.SIGKILL)
    with dbus.Peer(PRIVATE, SECONDS) as manager:
        try:
            unit = os.path.basename(path)
            (job,) = manager.call(*_MANAGER, "StopUnit", "ss", unit, "replace")
            _result(manager, job)
        except Denied as error:
            if NO_SUCH_UNIT not in str(error):
                raise
    group.remove(path)


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Other limits for a scope: systemd's, then the group's. What is refused changes nothing."""
    group.update(path, resources)
    if changed := properties(resources):
        with dbus.Peer(PRIVATE, SECONDS) as manager:
            unit = os.path.basename(path)
            try:
                manager.call(*_MANAGER, "SetUnitProperties", "sba(sv)", unit, True, changed)
            except Denied as error:
                if NO_SUCH_UNIT in str(error):
                    raise NotFound(f"systemd: {unit}: there is no such unit any more") from error
                raise


def properties(resources: Mapping[str, Any]) -> list[Property]:
    """Limits as properties of a unit. Pure; those that systemd has no name for are the group's."""
    found: list[Property] = []

    def put(name: str, kind: str, value: Any) -> None:
        found.append((name, (kind, value)))

    memory, shares = (controller.section(resources, name) for name in ("memory", "cpu"))
    limit, swap = (controller.number(memory, name, "memory") for name in ("limit", "swap"))
    if limit:
        put("MemoryMax", "t", _or_everything(limit))
    if swap and (swap < 0 or (limit and limit > 0)):
        put("MemorySwapMax", "t", EVERYTHING if swap < 0 else max(0, swap - (limit or 0)))
    if reservation := controller.number(memory, "reservation", "memory"):
        put("MemoryLow", "t", _or_everything(reservation))
    if weight := controller.number(shares, "shares", "cpu", 0):
        put("CPUWeight", "t", cpu.weight(weight))
    quota, period = (controller.number(shares, name, "cpu") for name in ("quota", "period"))
    if quota:
        put("CPUQuotaPerSecUSec", "t", EVERYTHING if quota < 0 else
            quota * 1_000_000 // (period or CGROUP_PERIOD))  # fmt: skip
    if period:
        put("CPUQuotaPeriodUSec", "t", period)
    for member, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        if ranges := shares.get(member):
            list(cpuset.Cpuset().v2({"cpu": {member: ranges}}, controller.fresh))  # checks it
            put(name, "ay", _bits(ranges))
    tasks = controller.number(controller.section(resources, "pids"), "limit", "pids")
    if tasks is not None:
        put("TasksMax", "t", tasks if tasks > 0 else EVERYTHING)
    return found


def _or_everything(value: int) -> int:
    return EVERYTHING if value < 0 else value


def _bits(ranges: str) -> bytes:
    """``0-2,4`` as a bit mask, the lowest byte first."""
    mask = 0
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        for bit in range(int(first), int(last or first) + 1):
            mask |= 1 << bit
    return mask.to_bytes((mask.bit_length() + 7) // 8 or 1, "little")
