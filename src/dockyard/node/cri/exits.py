"""Turns the end of a process into an event, at once: the event loop watches a pidfd of each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class Exits:
    """Containers whose first process is watched."""

    def __init__(self, ended: Callable[[str], None]) -> None:
        """``ended`` is called with the container's id, once, when its process has."""
        self._ended = ended
        self._watched: dict[str, tuple[int, asyncio.Event]] = {}

    def watch(self, container_id: str, pid: int) -> asyncio.Event:
        """Set when the process has ended; one that is gone already counts."""
        known = self._watched.get(container_id)
        if known is not None:
            return known[1]
        over = asyncio.Event()
        try:
            pidfd = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:
            pidfd = -1
        if pidfd < 0:
            over.set()
            self._ended(container_id)
            return over
        self._watched[container_id] = (pidfd, over)
        asyncio.get_running_loop().add_reader(pidfd, self._readable, container_id)
        return over

    def _readable(self, container_id: str) -> None:
        pidfd, over = self._watched.pop(container_id)
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        over.set()
        self._ended(container_id)

    def close(self) -> None:
        """Let go of the descriptors."""
        loop = asyncio.get_running_loop()
        for pidfd, _ in self._watched.values():
            loop.remove_reader(pidfd)
            os.close(pidfd)
        self._watched.clear()
