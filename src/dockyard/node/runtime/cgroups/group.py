"""Turns a container's group path and resources into directories under /sys/fs/cgroup, and back.

cgroup v1 (and hybrid layouts: a controller is a folder of /sys/fs/cgroup). The unified hierarchy
fits behind the same functions; it is not implemented here.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import signal
from collections.abc import Iterable, Mapping
from typing import Any

from dockyard.base.aio.now import monotonic, pause
from dockyard.base.errors import Conflict, Invalid, Unavailable, Unsupported
from dockyard.node.runtime.cgroups.controller import Controller, Write
from dockyard.node.runtime.cgroups.cpu import Cpu, Cpuset
from dockyard.node.runtime.cgroups.devices import Devices
from dockyard.node.runtime.cgroups.memory import Memory
from dockyard.node.runtime.cgroups.pids import Pids

BASE = "/sys/fs/cgroup"
CONTROLLERS: tuple[Controller, ...] = (Memory(), Cpu(), Cpuset(), Pids(), Devices())
"""Those that take resources, in the order in which they are written."""
TRACKED = ("freezer", "cpuacct", "blkio", "systemd")
"""Those that a container is put under to be frozen and counted, and to see only itself."""
REMOVE_SECONDS = 5.0


@functools.cache
def _controllers() -> tuple[str, ...]:
    if os.path.exists(f"{BASE}/cgroup.controllers"):
        raise Unsupported("cgroup: only version 2 is mounted; not implemented")
    names = [controller.name for controller in CONTROLLERS] + list(TRACKED)
    return tuple(name for name in names if os.path.isdir(f"{BASE}/{name}"))


def checked(path: str) -> str:
    """The path without its outer slashes. The root of a hierarchy is never a container's: it holds
    every process of the machine."""
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"cgroup: {path!r}: climbs, or names the root; a container needs its own")
    return "/".join(parts)


def create(path: str, resources: Mapping[str, Any]) -> None:
    """Make the group and write its limits. If one cannot be set it raises, and the group goes."""
    path = checked(path)
    wanted = {"devices": [], **resources}
    writes = [(c.name, list(c.v1(wanted))) for c in CONTROLLERS]
    present = _controllers()
    if found := pids(path):
        raise Conflict(f"cgroup: {path}: it is in use by processes {found[:10]}")
    try:
        for name in present:
            _make(name, path)
        for name, pairs in writes:
            if pairs and name not in present:
                raise Unsupported(f"cgroup: controller {name}: this machine has none")
            _write_all(f"{BASE}/{name}/{path}", pairs)
    except BaseException:
        remove(path)
        raise


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Write other limits to a group that is there."""
    path = checked(path)
    for controller in CONTROLLERS:
        pairs = list(controller.v1(resources))
        folder = f"{BASE}/{controller.name}/{path}"
        try:
            _write_all(folder, pairs)
        except Invalid:  # memory and swap limit: the one that grows has to be written first
            _write_all(folder, pairs[::-1])


def join(path: str) -> None:
    """Put this process, which has one thread, into the group.

    ``0`` into ``tasks``: a process that moves itself alone takes no lock of the whole machine,
    whose writers wait for an RCU grace period (milliseconds), as a write to ``cgroup.procs`` does.
    """
    path = checked(path)
    for name in _controllers():
        _write(f"{BASE}/{name}/{path}/tasks", "0")


def settle(path: str) -> str:
    """Put this process into a group that is above containers', if it is in none such. Which."""
    if not path:
        return ""
    path = checked(path)
    with open("/proc/self/cgroup") as file:
        if any(line.rstrip("\n").endswith(f":/{path}") for line in file):
            return path
    for name in _controllers():
        _make(name, path)
    join(path)
    return path


def leave(path: str) -> None:
    """Take this process, which is about to end, out of a group, and remove that if it is empty."""
    if not path:
        return
    for name in _controllers():
        _write(f"{BASE}/{name}/tasks", "0")
        with contextlib.suppress(OSError):  # others live there
            os.rmdir(f"{BASE}/{name}/{checked(path)}")


def signal_all(path: str, number: int) -> None:
    """Send a signal to every process of the group."""
    for pid in pids(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def pids(path: str) -> list[int]:
    """Every process of the group."""
    path = checked(path)
    for name in ("pids", "freezer", "memory"):
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in _read(f"{BASE}/{name}/{path}/cgroup.procs").split()]
    return []


def oom_kills(path: str) -> int:
    """How many processes the kernel has killed because the group had no memory left."""
    path = checked(path)
    with contextlib.suppress(FileNotFoundError):
        for line in _read(f"{BASE}/memory/{path}/memory.oom_control").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def freeze(path: str, frozen: bool) -> None:
    """Stop or resume every process of the group."""
    path = checked(path)
    _write(f"{BASE}/freezer/{path}/freezer.state", "FROZEN" if frozen else "THAWED")


def is_frozen(path: str) -> bool:
    """Whether the group is stopped."""
    path = checked(path)
    with contextlib.suppress(FileNotFoundError):
        return _read(f"{BASE}/freezer/{path}/freezer.state").strip() != "THAWED"
    return False


def remove(path: str) -> None:
    """Kill what is in the group and remove it from every controller; one that is gone is fine.

    The group above it goes too, if it holds nothing any more.
    """
    path = checked(path)
    deadline = monotonic() + REMOVE_SECONDS
    while found := pids(path):
        if is_frozen(path):
            freeze(path, False)
        signal_all(path, signal.SIGKILL)
        if monotonic() > deadline:
            raise Unavailable(f"cgroup: {path}: processes {found} do not end")
        pause(0.001)
    above = os.path.dirname(path)
    for name in _controllers():
        _remove_tree(f"{BASE}/{name}/{path}", deadline)
        if above:
            with contextlib.suppress(OSError):  # others live there
                os.rmdir(f"{BASE}/{name}/{above}")


def _remove_tree(folder: str, deadline: float) -> None:
    """With what the container made below. rmdir(2) is refused while the last process goes away."""
    while True:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or monotonic() > deadline:
                raise
            for inner in _subfolders(folder):
                _remove_tree(inner, deadline)
            pause(0.001)
        else:
            return


def _subfolders(folder: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _make(name: str, path: str) -> None:
    """The folder and what is missing above it, which may be removed meanwhile: its last container
    has gone."""
    for _ in range(10):
        try:
            os.mkdir(f"{BASE}/{name}/{path}")
        except FileExistsError:
            break
        except FileNotFoundError:
            _make(name, os.path.dirname(path))
        else:
            break
    if name == "cpuset":
        _inherit_cpuset(path)


def _inherit_cpuset(path: str) -> None:
    """A new group has no processors, and takes no process without. The one above may be as new:
    whoever made it has not come to this yet."""
    above = os.path.dirname(path)
    folder = f"{BASE}/cpuset/{path}"
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not _read(f"{folder}/{file}").strip():
            if above:
                _inherit_cpuset(above)
            _write(f"{folder}/{file}", _read(f"{os.path.dirname(folder)}/{file}"))


def _write_all(folder: str, pairs: Iterable[Write]) -> None:
    for file, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        _write(f"{folder}/{file}", *(value for _, value in group))


def _write(file: str, *values: str) -> None:
    """Each value is one write(2), as the kernel's parsers want it."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if "memsw" in file:
            raise Unsupported(f"cgroup: {file}: this kernel does not count swap") from None
        raise
    value = ""
    try:
        for value in values:
            os.write(descriptor, value.encode())
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ERANGE, errno.EBUSY):
            raise Invalid(f"cgroup: {file}: {value.strip()!r}: {error.strerror}") from error
        raise
    finally:
        os.close(descriptor)


def _read(file: str) -> str:
    with open(file) as opened:
        return opened.read()
