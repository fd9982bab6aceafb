"""Turns a container into a descriptor of its root, whether it runs or not.

One that runs: its own view, volumes and all, through /proc. One that does not: its layers, mounted
for as long as the descriptor lives, and each of its volumes beside them.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import Conflict, Denied, Unsupported
from dockyard.base.linux.overlay import NATIVE, open_overlay, unmark
from dockyard.node.engine import refresh, roots
from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts


class Place(NamedTuple):
    """Where a path of a container lies."""

    root: int
    """A descriptor that no path leads out of."""
    path: str
    """Below it, without a slash at its beginning; a slash at its end stays."""


@contextlib.contextmanager
def opened(parts: Parts, container: Container, path: str, *, write: bool) -> Iterator[Place]:
    """The root to look a path up in, and the path in it. One that does not run cannot be started
    meanwhile: its changes must not be mounted twice."""
    whole = "/" + path.lstrip("/")
    with contextlib.ExitStack() as stack:
        if not container.alive:
            stack.enter_context(parts.locks.hold(container.id))
            container = parts.database.find(container.id)
        descriptor, below = _open(parts, container, whole, write)
        stack.callback(os.close, descriptor)
        yield Place(descriptor, below)


def _open(parts: Parts, container: Container, path: str, write: bool) -> tuple[int, str]:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    if container.alive:
        return _of_running(parts, container, flags), path.lstrip("/")
    plain = posixpath.normpath(path)
    mounts = sorted(container.config.mounts, key=lambda mount: -len(mount.target))
    for mount in mounts:
        target = posixpath.normpath(mount.target)
        if mount.kind != "tmpfs" and (plain == target or plain.startswith(target + "/")):
            if write and mount.read_only:
                raise Denied("mounted volume is marked read-only")
            source = parts.volumes.path(mount.source) if mount.kind == "volume" else mount.source
            return os.open(source, flags), path[len(target) :].lstrip("/")
    if write and container.config.read_only:
        raise Denied("container rootfs is marked read-only")
    stack = roots.stack_of(parts, container)
    if os.geteuid() != 0 and stack.driver != NATIVE:
        raise Unsupported(f"cp: container {container.name} does not run: its layers cannot be "
                          "mounted by an ordinary user; start it first")  # fmt: skip
    if stack.volatile:
        unmark(stack.work)
    at = f"{parts.places.state(container.id)}/rootfs"
    return open_overlay(stack.lower, stack.upper, stack.work, at, stack.driver), path.lstrip("/")


def _of_running(parts: Parts, container: Container, flags: int) -> int:
    """As its programs see it. It still runs afterwards: so nobody else has had its pid (G20)."""
    gone = Conflict(f"container {container.id}: it has just ended; try again")
    try:
        root = os.open(f"/proc/{container.pid}/root", flags)
    except (FileNotFoundError, ProcessLookupError):
        raise gone from None
    latest = refresh.refresh(parts, container)
    if not latest.alive or latest.pid != container.pid or latest.started != container.started:
        os.close(root)
        raise gone
    return root
