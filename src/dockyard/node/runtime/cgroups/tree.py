"""Turns a group's path into folders in a hierarchy, and takes them away with what lives in them."""

from __future__ import annotations

import errno
import os

from dockyard.base import contexts
from dockyard.base.aio.now import monotonic, pause
from dockyard.base.errors import Unavailable
from dockyard.base.linux import cgroupfs, signals
from dockyard.base.linux.door import through
from dockyard.node.runtime.cgroups import freezer

POLL_SECONDS = 0.001
CPUSET = ("cpuset.cpus", "cpuset.mems")
PASSED_ON = ("cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma")
"""Controllers of version 2 that take limits."""


def make_v1(root: str, path: str) -> None:
    """The folder and what is missing above it, which may be removed meanwhile: its last container
    has gone."""
    _make(root, path)
    if root == cgroupfs.layout().v1.get("cpuset"):
        _cpuset(root, path)


def _make(root: str, path: str) -> None:
    for _ in range(10):
        try:
            through("mkdir", os.mkdir, f"{root}/{path}")
        except FileExistsError:
            return
        except FileNotFoundError:
            _make(root, os.path.dirname(path))
        else:
            return


def _cpuset(root: str, path: str, *, inner: bool = False) -> list[str]:
    """The processors and memory nodes of a group. A new one has none, and takes no process without:
    it gets those of the group above, which may be as new; whoever made that has not come to this
    yet. What is made in an ``inner`` one later has them at once (cgroup-v1/cgroups.rst, 1.5): to
    write them is 0.5 ms among a thousand neighbours, each of whom the kernel asks."""
    folder = f"{root}/{path}"
    own = [(cgroupfs.read(f"{folder}/{file}") or "").strip() for file in CPUSET]
    if path and not all(own):
        above = _cpuset(root, os.path.dirname(path), inner=True)
        for place, file in enumerate(CPUSET):
            if not own[place]:
                cgroupfs.write(f"{folder}/{file}", above[place])
                own[place] = above[place]
        if inner:
            cgroupfs.write(f"{folder}/cgroup.clone_children", "1")
    return own


def make_v2(path: str) -> dict[str, str]:
    """The folder, with every controller that those above it pass on. Those that one above does not
    pass on, and why."""
    layout = cgroupfs.layout()
    _make(layout.v2, path)
    missing = set(layout.unified).intersection(PASSED_ON)
    missing.difference_update(cgroupfs.words(f"{layout.v2}/{path}/cgroup.controllers"))
    refused: dict[str, str] = {}
    above = layout.v2
    for part in path.split("/") if missing else ():
        passed = cgroupfs.words(f"{above}/cgroup.subtree_control")
        wanted = [name for name in sorted(missing) if name not in passed and name not in refused]
        refused.update(_pass_on(above, wanted))
        above = f"{above}/{part}"
    return refused


def _pass_on(folder: str, controllers: list[str]) -> dict[str, str]:
    """All at once; where the kernel refuses one it refuses all, so each alone then.

    Nothing is tried where processes live: the kernel would take some controllers, and make a
    threaded group of it. The root, which has no ``cgroup.events``, may hold processes.
    """
    file = f"{folder}/cgroup.subtree_control"
    if not controllers:
        return {}
    inhabited = cgroupfs.words(f"{folder}/cgroup.procs")
    if inhabited and os.path.exists(f"{folder}/cgroup.events"):
        reason = f"{file}: processes {', '.join(inhabited[:5])} live in it, not in a group below"
        return dict.fromkeys(controllers, reason)
    with contexts.suppress(OSError):
        _write_raw(file, " ".join(f"+{name}" for name in controllers))
        return {}
    refused = {}
    for name in controllers:
        try:
            _write_raw(file, f"+{name}")
        except OSError as error:
            refused[name] = f"{file}: +{name}: {error.strerror}"
    return refused


def _write_raw(file: str, value: str) -> None:
    descriptor = through("openat", os.open, file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        through("write", os.write, descriptor, value.encode())
    finally:
        os.close(descriptor)


def remove(path: str, seconds: float) -> None:
    """End what is in the group and remove it from every hierarchy; one that is gone is fine.

    The group above it goes too, if it holds nothing any more.
    """
    deadline = monotonic() + seconds
    above = os.path.dirname(path)
    for folder in cgroupfs.folders(path):
        _remove(folder, path, deadline)
        if above:
            with contexts.suppress(OSError):  # others live there
                os.rmdir(os.path.dirname(folder))


def _remove(folder: str, path: str, deadline: float) -> None:
    """With what the container made below. rmdir(2) is refused while the last process goes away."""
    while True:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
        else:
            return
        left = kill(folder, path)
        for inner in cgroupfs.subgroups(folder):
            _remove(inner, path, deadline)
        if monotonic() > deadline:
            raise Unavailable(f"cgroup: {folder}: processes {left[:10]} do not end")
        pause(POLL_SECONDS)


def kill(folder: str, path: str) -> list[int]:
    """End every process of a folder and below, frozen or not. Those that were there."""
    with contexts.suppress(FileNotFoundError, PermissionError):  # Linux 5.14, version 2
        _write_raw(f"{folder}/cgroup.kill", "1")
        return cgroupfs.pids(folder)
    found = cgroupfs.pids(folder)
    if found and freezer.is_frozen(path):
        freezer.thaw(path)
    for pid in found:
        with contexts.suppress(ProcessLookupError):
            os.kill(pid, signals.SIGKILL)
    return found
