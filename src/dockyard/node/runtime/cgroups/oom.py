"""Turns a group into events: it has no memory left, it is gone.

Version 1: an eventfd registered in cgroup.event_control for memory.oom_control
(cgroup-v1/memory.rst, "OOM Control"). Version 2: inotify(7) on memory.events, which counts kills.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator

from dockyard.base.errors import NotFound, Unsupported
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime.cgroups.group import checked

OOM, GONE = "oom", "gone"
V1_COUNTER, V2_COUNTER = "memory.oom_control", "memory.events"
_IN_MODIFY, _IN_CLOEXEC = 2, os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class Events:
    """A descriptor that becomes readable with the next event."""

    def __init__(self, descriptor: int, folder: str, counter: str, others: list[int]) -> None:
        self._descriptor, self._folder, self._counter = descriptor, folder, counter
        self._others = others
        self._kills = self._count()

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> list[str]:
        """What has happened; waits where nothing has. ``oom``: it had no memory left, and the
        kernel kills (or, in version 1 and where that is disabled, lets wait); ``gone``: nothing
        will come any more. Both come at once where the last process was killed, and none where
        the kernel has woken us for something else."""
        os.read(self._descriptor, 65536)
        if not os.path.exists(f"{self._folder}/{self._counter}"):
            return [GONE]
        if self._counter == V1_COUNTER:
            return [OOM]
        gone = [GONE] if self._empty() else []
        before, self._kills = self._kills, self._count()
        return [OOM, *gone] if self._kills > before else gone

    def close(self) -> None:
        """Watch no more."""
        for descriptor in (self._descriptor, *self._others):
            os.close(descriptor)
        self._others = []

    def _count(self) -> int:
        return cgroupfs.flat(f"{self._folder}/{self._counter}").get("oom_kill", 0)

    def _empty(self) -> bool:
        """Whether the last process has ended, which version 2 says; version 1 says when it goes."""
        return cgroupfs.flat(f"{self._folder}/cgroup.events").get("populated", 1) == 0


@contextlib.contextmanager
def watch(path: str) -> Iterator[Events]:
    """The events of a container's group while the block runs."""
    folder = cgroupfs.folder("memory", checked(path))
    if not folder:
        raise Unsupported(f"cgroup: {path}: no memory controller: nobody counts its memory")
    if not os.path.isdir(folder):
        raise NotFound(f"cgroup: {path}: there is no such container any more")
    events = _watch_v1(folder) if "memory" in cgroupfs.layout().v1 else _watch_v2(folder)
    try:
        yield events
    finally:
        events.close()


def _watch_v1(folder: str) -> Events:
    control = os.open(f"{folder}/{V1_COUNTER}", os.O_RDONLY | os.O_CLOEXEC)
    event = os.eventfd(0, os.EFD_CLOEXEC)
    try:
        cgroupfs.write(f"{folder}/cgroup.event_control", f"{event} {control}")
    except BaseException:
        os.close(event)
        os.close(control)
        raise
    return Events(event, folder, V1_COUNTER, [control])


def _watch_v2(folder: str) -> Events:
    descriptor = _libc.inotify_init1(_IN_CLOEXEC)
    for file in (V2_COUNTER, "cgroup.events"):
        name = os.fsencode(f"{folder}/{file}")
        if descriptor < 0 or _libc.inotify_add_watch(descriptor, name, _IN_MODIFY) < 0:
            code = ctypes.get_errno() or errno.EINVAL
            if descriptor >= 0:
                os.close(descriptor)
            raise OSError(code, f"inotify_add_watch({folder}/{file}): {os.strerror(code)}")
    return Events(descriptor, folder, V2_COUNTER, [])
