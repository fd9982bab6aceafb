"""Turns connections that have answered into ones for the next request, while their pod is ready.

A connection that waits is listened to: one that ends, or says something nobody asked for, is closed
and never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks

IDLE_SECONDS = 30.0
MOST_IDLE = 32
"""Waiting connections of one place."""


class Link(NamedTuple):
    """A connection to a pod."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """End it now; what it still had to say is lost."""
        self.writer.close()


class Pool:
    """Connections that wait, by address and port."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks = Tasks()
        self._waiting: dict[tuple[str, int], dict[asyncio.Task[None], Link]] = {}

    def put(self, place: tuple[str, int], link: Link) -> None:
        """Keep a connection whose answer has been read to its end."""
        waiting = self._waiting.setdefault(place, {})
        if len(waiting) >= MOST_IDLE:
            link.close()
            return
        task = self._tasks.start(self._listen(link), name="ingress keep-alive")
        waiting[task] = link
        task.add_done_callback(lambda done: self._ended(place, done))

    async def take(self, place: tuple[str, int]) -> Link | None:
        """A connection that waits, the one used last; None if there is none."""
        waiting = self._waiting.get(place, {})
        while waiting:
            task, link = waiting.popitem()
            task.cancel()
            try:
                await asyncio.wait([task])
            except BaseException:
                link.close()
                raise
            if task.cancelled() and not link.writer.is_closing():
                return link
            link.close()
        return None

    def drop(self, address: str) -> None:
        """Close what waits for a pod that is gone, or not ready any more."""
        for place in [place for place in self._waiting if place[0] == address]:
            for link in self._waiting.pop(place).values():
                link.close()

    async def close(self) -> None:
        """Close all."""
        for place in list(self._waiting):
            self.drop(place[0])
        await self._tasks.close()

    async def _listen(self, link: Link) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with self._clock.timeout(IDLE_SECONDS):
                await link.reader.read(1)

    def _ended(self, place: tuple[str, int], task: asyncio.Task[None]) -> None:
        waiting = self._waiting.get(place, {})
        link = waiting.pop(task, None)
        if link is not None:
            link.close()
        if not waiting:
            self._waiting.pop(place, None)
