"""Turns a path into the right to open it: one process a file, known by its pid."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from dockyard.base.errors import Conflict


@contextlib.contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Hold flock(2) on ``<path>.lock``, which names the pid. Raises Conflict naming the holder.

    SQLite's own locks would not do: they are POSIX locks, which a process loses when it closes any
    descriptor of the file, and they let two processes write in turns.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise Conflict(f"store: {path}: pid {pid} has it open; stop that one first") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)
