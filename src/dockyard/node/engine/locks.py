"""Turns a container's id into its lock: one change at a time, over all processes (flock(2))."""

from __future__ import annotations

import fcntl
import os

from dockyard.base import contexts
from dockyard.node.engine.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Locks:
    """Lock files in the run directory. The kernel opens the lock of a holder that has died."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def _path(self, container_id: str) -> str:
        return f"{self._places.run(container_id)}.lock"

    @contexts.contextmanager
    def hold(self, container_id: str) -> Iterator[None]:
        """Wait for the lock. Not reentrant."""
        descriptor = self._take(container_id, fcntl.LOCK_EX)
        try:
            yield
        finally:
            _let_go(descriptor)

    @contexts.contextmanager
    def hold_if_free(self, container_id: str) -> Iterator[bool]:
        """Take the lock where nobody has it; whether it was taken."""
        try:
            descriptor = self._take(container_id, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            _let_go(descriptor)

    def forget(self, container_id: str) -> None:
        """Remove the file of a container that is gone; its holder does."""
        with contexts.suppress(FileNotFoundError):
            os.unlink(self._path(container_id))

    def _take(self, container_id: str, operation: int) -> int:
        """A file that was removed while we waited for it locks nothing: take the next one."""
        path = self._path(container_id)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, operation)
                with contexts.suppress(FileNotFoundError):
                    if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                        return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _let_go(descriptor: int) -> None:
    # explicitly: a monitor that was forked meanwhile may still have a copy of the descriptor
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
