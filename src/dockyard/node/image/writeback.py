"""Turns bytes into a file's, and has the disk begin with them while more come.

So the fsync(2) at the end, which alone says that all is on the disk, finds little to wait for.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.linux.door import call

_STEP = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2


class Writeback:
    """What is written to one open file, from its start."""

    __slots__ = ("_asked", "_fd", "_written")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._written = self._asked = 0

    def write(self, chunk: bytes) -> None:
        """All of the chunk."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._written += len(chunk)
        if self._written - self._asked >= _STEP:
            self._begin()

    def _begin(self) -> None:
        """A hint (sync_file_range(2)): what goes wrong is told by fsync(2)."""
        length = self._written - self._asked
        with contexts.suppress(OSError):
            call("sync_file_range", self._fd, self._asked, length, _SYNC_FILE_RANGE_WRITE)
        self._asked = self._written
