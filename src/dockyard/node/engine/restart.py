"""Turns a container's end into its next start, where its policy wants one, after a growing delay.

A monitor executes :func:`after_exit` (in a process of its own) when its container has ended. While
that waits it holds a fifo open, through which whoever changes the container's mind wakes it.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from dockyard.base.errors import NotFound
from dockyard.node.engine import refresh, remove, start
from dockyard.node.engine.config import EXITED, RESTARTING, STARTING, Container
from dockyard.node.engine.parts import Parts


def after_exit(parts: Parts, container_id: str) -> None:
    """What the monitor of a container asks for when that has ended."""
    with _waiting(parts, container_id) as fifo:
        try:
            container = refresh.find(parts, container_id)
        except NotFound:
            return
        if container.status == RESTARTING:
            _wait(fifo, min(container.delay, container.finished + container.delay - parts.clock()))
    if container.status == RESTARTING:
        again(parts, container)
    elif container.status == EXITED and container.config.auto_remove:
        with parts.locks.hold(container_id):
            latest = parts.database.get(container_id)
            if latest is not None and latest.status == EXITED:
                remove.erase(parts, latest, volumes=True)


def again(parts: Parts, container: Container) -> None:
    """Start it, unless somebody has done something else with it meanwhile."""
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        if latest is None or latest.status != RESTARTING or latest.finished != container.finished:
            return
        parts.database.update(latest._replace(status=STARTING))
        before = latest._replace(status=EXITED, restarts=latest.restarts + 1)
        start.begin(parts, before, attach=False)


def give_up(parts: Parts, container_id: str) -> Container | None:
    """Nobody shall start it any more: the container, if it was about to be."""
    with parts.locks.hold(container_id):
        latest = parts.database.get(container_id)
        if latest is None or latest.status != RESTARTING:
            return None
        latest = latest._replace(status=EXITED, stopped=True)
        parts.database.update(latest)
    nudge(parts, container_id)
    return latest


def nudge(parts: Parts, container_id: str) -> None:
    """Wake whoever waits to start it: what they wait for has changed. Nobody is fine too."""
    with contextlib.suppress(OSError):
        descriptor = os.open(_fifo(parts, container_id), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, b"x")
        finally:
            os.close(descriptor)


def is_awaited(parts: Parts, container_id: str) -> bool:
    """Whether somebody waits to start it."""
    try:
        os.close(os.open(_fifo(parts, container_id), os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # no fifo, or nobody who reads it
        return False
    return True


def _fifo(parts: Parts, container_id: str) -> str:
    return f"{parts.places.run(container_id)}.restart"


@contextlib.contextmanager
def _waiting(parts: Parts, container_id: str) -> Iterator[int]:
    """There before the container is looked at, so that no nudge is missed."""
    path = _fifo(parts, container_id)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _wait(descriptor: int, seconds: float) -> None:
    if seconds > 0:
        select.select([descriptor], [], [], seconds)
