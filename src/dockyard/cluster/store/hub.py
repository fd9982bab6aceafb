"""Turns committed changes into what each watcher is owed: in order, each once, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from dockyard.base.aio.queues import Channel, Closed, Full
from dockyard.base.errors import Unavailable
from dockyard.cluster.store.contract import Event, FutureRevision, SlowWatcher

MOST_BATCHES = 10_000
"""Batches that may wait for one reader."""

Replay = Callable[[str, int, int], Awaitable[list[Event]]]
"""Changes below a prefix after one revision, up to another. Raises Compacted."""


class HubWatch:
    """One watch: first what had happened, then what happens."""

    def __init__(self, hub: Hub, prefix: str, after: int, start: int) -> None:
        self.prefix, self.revision = prefix, after
        self._hub, self._start = hub, start
        self._live: Channel[tuple[int, list[Event]]] = Channel(MOST_BATCHES)

    def offer(self, revision: int, events: list[Event]) -> None:
        """Queue a commit's changes; a reader that is too slow is cut off."""
        if self._live.closed:
            return
        try:
            self._live.put((revision, events))
        except Full:
            self._live.drain()
            self.end(SlowWatcher(f"store: a watch of {self.prefix}: its reader is too slow"))

    def end(self, error: BaseException | None = None) -> None:
        self._hub.forget(self)
        self._live.close(error)

    def close(self) -> None:
        self.end()

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        if self.revision < self._start:
            events = await self._hub.replay(self.prefix, self.revision, self._start)
            self.revision = self._start
            yield events
        while True:
            try:
                revision, batch = await self._live.get()
            except Closed:
                return
            for newer, events in self._live.drain():
                revision, batch = newer, batch + events
            self.revision = revision
            yield batch


class Hub:
    """All watches of one store. ``replay`` reads what happened before a watch began."""

    def __init__(self, replay: Replay, revision: int) -> None:
        self.replay = replay
        self.revision = revision
        self._watches: dict[HubWatch, None] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def watch(self, prefix: str, after: int) -> HubWatch:
        """A watch of every change after a revision."""
        if after > self.revision:
            raise FutureRevision(after, self.revision)
        watch = HubWatch(self, prefix, after, self.revision)
        self._watches[watch] = None
        return watch

    def publish(self, events: list[Event]) -> None:
        """A commit's changes, in their order. Watches without one in it learn its revision."""
        if not events:
            return
        self.revision = events[-1].entry.modified
        for watch in list(self._watches):
            prefix = watch.prefix
            found = [event for event in events if event.entry.key.startswith(prefix)]
            if found:
                watch.offer(self.revision, found)
        self._wake(self.revision)

    async def reached(self, revision: int) -> None:
        """Return when that revision has been published: a reader may have seen it before."""
        if revision > self.revision:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, done))
            await done

    def _wake(self, until: int) -> None:
        for revision, done in self._waiting:
            if revision <= until and not done.done():
                done.set_result(None)
        self._waiting = [(revision, done) for revision, done in self._waiting if revision > until]

    def progress(self) -> None:
        """Tell every watch up to where it knows everything."""
        for watch in list(self._watches):
            watch.offer(self.revision, [])

    def forget(self, watch: HubWatch) -> None:
        self._watches.pop(watch, None)

    def close(self) -> None:
        """End every watch."""
        for watch in list(self._watches):
            watch.end()
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(Unavailable("store: is closed"))
