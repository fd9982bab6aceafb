"""Turns changes into keys to work on: each at most once at a time, failures later and later."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from dockyard.base.aio.clock import Clock, Handle
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError
from dockyard.cluster.meta import errors

log = logging.getLogger("dockyard.workqueue")
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 60.0
"""Seconds before the first retry, and at most; each one doubles."""

Sync = Callable[[str], Awaitable[None]]


class WorkQueue:
    """Keys that wait. A key that is added while it is worked on is worked on once more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._later: dict[str, tuple[float, Handle]] = {}
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: str) -> None:
        """Work on a key soon."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._ready.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Work on a key after a while; of several times the first one counts."""
        if seconds <= 0:
            self.add(key)
            return
        when = self._clock.monotonic() + seconds
        if key in self._later:
            if self._later[key][0] <= when:
                return
            self._later[key][1].cancel()
        handle = self._clock.call_later(seconds, lambda: self._due(key))
        self._later[key] = (when, handle)

    def _due(self, key: str) -> None:
        self._later.pop(key, None)
        self.add(key)

    def retry(self, key: str) -> None:
        """Work on a key again, later with each failure."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add_after(key, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**count))

    def forget(self, key: str) -> None:
        """The key has been worked on well."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; call :meth:`done` afterwards."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """The work on a key has ended, well or not."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Cancel what waits for its time."""
        for _, handle in self._later.values():
            handle.cancel()
        self._later.clear()


async def work(name: str, queue: WorkQueue, sync: Sync, workers: int = 4) -> None:
    """Sync every key that comes, until cancelled. A failure is logged and tried again."""

    async def one() -> None:
        while True:
            key = await queue.get()
            try:
                await sync(key)
                queue.forget(key)
            except (errors.Conflict, errors.AlreadyExists, errors.NotFound):
                queue.retry(key)  # somebody else was quicker: look again
            except DockyardError as error:
                log.warning("%s: %s: %s", name, key, error)
                queue.retry(key)
            except Exception:
                log.exception("%s: %s", name, key)
                queue.retry(key)
            finally:
                queue.done(key)

    try:
        async with Tasks() as tasks:
            for number in range(workers):
                tasks.start(one(), name=f"{name} {number}", essential=True)
            await asyncio.Event().wait()
    finally:
        queue.close()
