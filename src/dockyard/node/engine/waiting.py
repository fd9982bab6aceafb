"""Turns a container into a place (a fifo) where somebody waits to start it again, or is woken."""

from __future__ import annotations

import os
import select

from dockyard.base import contexts
from dockyard.node.engine.parts import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def nudge(parts: Parts, container_id: str) -> None:
    """Wake whoever waits to start it: what they wait for has changed. Nobody is fine too."""
    with contexts.suppress(OSError):
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


@contexts.contextmanager
def awaited(parts: Parts, container_id: str) -> Iterator[int]:
    """There before the container is looked at, so that no nudge is missed."""
    path = _fifo(parts, container_id)
    with contexts.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        with contexts.suppress(FileNotFoundError):
            os.unlink(path)


def wait(descriptor: int, seconds: float) -> None:
    """Until that time has gone by, or somebody nudges."""
    if seconds > 0:
        select.select([descriptor], [], [], seconds)


def forget(parts: Parts, container_id: str) -> None:
    """The container is gone: nobody shall wait for it, and a crash leaves no file."""
    nudge(parts, container_id)
    with contexts.suppress(FileNotFoundError):
        os.unlink(_fifo(parts, container_id))
