"""Turns resources into what is written to each file of a group, and writes it.

A controller is version 1's where that is mounted, else version 2's: so each layout (v1, hybrid,
v2) is served alike.
"""

from __future__ import annotations

import itertools

from dockyard.base import contexts
from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime.cgroups import devicegate, devicerules, unified
from dockyard.node.runtime.cgroups.blkio import Blkio
from dockyard.node.runtime.cgroups.controller import Controller, Write, fresh
from dockyard.node.runtime.cgroups.cpu import Cpu
from dockyard.node.runtime.cgroups.cpuset import Cpuset
from dockyard.node.runtime.cgroups.devices import Devices
from dockyard.node.runtime.cgroups.hugetlb import Hugetlb
from dockyard.node.runtime.cgroups.memory import Memory
from dockyard.node.runtime.cgroups.network import NetCls, NetPrio
from dockyard.node.runtime.cgroups.pids import Pids
from dockyard.node.runtime.cgroups.rdma import Rdma

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dockyard.node.runtime.cgroups.controller import Now


CONTROLLERS: tuple[Controller, ...] = (
    Memory(), Cpu(), Cpuset(), Pids(), Devices(), Blkio(), Hugetlb(), Rdma(), NetCls(), NetPrio(),
)  # fmt: skip
"""Those that take resources, in the order in which they are written."""
Plan = list[tuple[str, list[Write]]]
"""A folder, and what is written there."""


def need_v2(resources: Mapping[str, Any]) -> bool:
    """Whether something that is asked for is the unified hierarchy's."""
    layout = cgroupfs.layout()
    if not layout.v2:
        return False
    if layout.pure or resources.get("unified") or "devices" not in layout.v1:
        return True
    there = (c for c in CONTROLLERS if c.name not in layout.v1 and c.in_v2 in layout.unified)
    return any(True for controller in there for _ in controller.v2(resources, fresh))


def plan(path: str, resources: Mapping[str, Any], refused: Mapping[str, str] | None) -> Plan:
    """What is written where. What can be known to be wrong before anything is written is said.

    ``refused``: controllers that a new group has not got, and why; None: the group is not new.
    """
    layout = cgroupfs.layout()
    planned: Plan = []
    second = f"{layout.v2}/{path}"
    for controller in CONTROLLERS:
        if controller.member not in resources:
            continue
        name, in_v2 = controller.name, controller.in_v2
        if name in layout.v1:
            folder = f"{layout.v1[name]}/{path}"
            # a new group's devices are its parent's, and its own when they have been written
            now = fresh if name == "devices" and refused is not None else _now(folder)
            planned.append((folder, list(controller.v1(resources, now))))
        elif name != "devices":
            v2 = layout.pure or in_v2 in layout.unified
            decide = controller.v2 if v2 else controller.v1
            if writes := list(decide(resources, _now(second))):
                _check_passed(in_v2 if v2 else name, refused or {}, second)
                planned.append((second, writes))
    if writes := list(unified.writes(resources)):
        if not layout.v2:
            raise Unsupported("config: linux.resources.unified: only with cgroup v2")
        for file, _ in writes:
            _check_passed(file.partition(".")[0], refused or {}, second)
        planned.append((second, writes))
    return planned


def _check_passed(name: str, refused: Mapping[str, str], folder: str) -> None:
    """A controller that the group does not have is refused, with the reason."""
    layout = cgroupfs.layout()
    if name == "cgroup":
        return
    if name in refused:
        raise Unsupported(f"cgroup: controller {name}: {refused[name]}")
    if name not in layout.unified:
        why = f"it is version 1's, at {layout.v1[name]}" if name in layout.v1 else "not mounted"
        raise Unsupported(f"cgroup: controller {name}: {why}")
    if name not in cgroupfs.words(f"{folder}/cgroup.controllers"):
        raise Unsupported(f"cgroup: controller {name}: not passed on to {folder}")


def _now(folder: str) -> Now:
    return lambda file: cgroupfs.read(f"{folder}/{file}")


def apply(planned: Plan, *, undone: bool) -> None:
    """Write it. ``undone``: what has been written is taken back if something is refused."""
    undo: list[tuple[str, str]] = []
    try:
        for folder, writes in planned:
            for name, group in itertools.groupby(writes, key=lambda pair: pair[0]):
                file = f"{folder}/{name}"
                before = _before(file) if undone else []
                cgroupfs.write(file, *(value for _, value in group))
                if len(before) == 1:  # else a list, which is no single write
                    undo.append((file, before[0]))
    except BaseException:
        for file, value in reversed(undo):
            with contexts.suppress(DockyardError, OSError):
                cgroupfs.write(file, value)
        raise


def _before(file: str) -> list[str]:
    """What a file holds; nothing where it cannot be read: it takes changes, not a state."""
    with contexts.suppress(OSError):
        return (cgroupfs.read(file) or "").splitlines()
    return []


def gate(path: str, resources: Mapping[str, Any]) -> None:
    """The device filter, where version 1 has none."""
    if "devices" in cgroupfs.layout().v1:
        return
    policy = devicerules.parse(resources)
    if policy is None:
        return
    if not cgroupfs.layout().v2:
        raise Unsupported("cgroup: devices: neither cgroup v1's controller nor v2 is mounted: a"
                          " container would open every device")  # fmt: skip
    devicegate.close(path, policy)
