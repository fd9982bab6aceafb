"""Turns the store's changes into rows that are read without waiting, and into watches.

One cache a stored kind. Whoever has written waits until its change is here
(:meth:`Caches.reached`), so no answer is older than an acknowledged write.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from dockyard.base.aio.queues import Channel, Closed, Full
from dockyard.cluster.api.rows import Row, head_of
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors
from dockyard.cluster.store.contract import Event, Store

REMEMBERED = 4096
"""Changes a kind that a watch may begin in the past of."""
MOST_WAITING = 4096
LAST = "\U0010ffff"

Matches = Callable[[Row], bool]


class Change(NamedTuple):
    """One change of one object; None where there was or is none."""

    revision: int
    before: Row | None
    after: Row | None


class Watcher:
    """One watch: a channel of (type, row); the row of a DELETED is the last one, newly stamped."""

    def __init__(self, prefix: str, matches: Matches, there: Sequence[Row] = ()) -> None:
        """``there``: what the watch begins with, as ADDED."""
        self.prefix, self.matches, self._there = prefix, matches, there
        self.channel: Channel[tuple[str, Row]] = Channel(MOST_WAITING)
        self.cut_off: Callable[[], None] | None = None
        """Called when the reader is too slow: it gets nothing more, and shall hear so."""

    def offer(self, change: Change) -> None:
        """Say what a change means to this watch: an object that stops matching is deleted."""
        row = change.after or change.before
        if row is None or not row.key.startswith(self.prefix) or self.channel.closed:
            return
        before = change.before is not None and self.matches(change.before)
        after = change.after is not None and self.matches(change.after)
        if not before and not after:
            return
        kind = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
        shown = change.after if after else _stamped(change)
        assert shown is not None
        try:
            self.channel.put((kind, shown))
        except Full:
            self.channel.drain()
            self.channel.close()
            if self.cut_off is not None:
                self.cut_off()

    async def __aiter__(self) -> AsyncIterator[tuple[str, Row]]:
        there, self._there = self._there, ()
        for row in there:
            if self.matches(row):
                yield "ADDED", row
        while True:
            try:
                yield await self.channel.get()
            except Closed:
                return


def _stamped(change: Change) -> Row:
    """The last state of a deleted object, or of one that matches no more, at the revision now."""
    before = change.before
    assert before is not None
    entry = before.entry._replace(modified=change.revision)
    return Row(before.kind, before._cut, entry)


class Cache:
    """The rows of one stored kind."""

    def __init__(self, kind: Kind, prefix: str) -> None:
        self.kind, self.prefix = kind, prefix
        self.revision = 0
        self._cut = len(head_of(kind))
        self._rows: dict[str, Row] = {}
        self._keys: list[str] = []
        self._changes: deque[Change] = deque(maxlen=REMEMBERED)
        self._forgotten = 0
        self._watchers: dict[Watcher, None] = {}

    def row(self, key: str) -> Row | None:
        return self._rows.get(key)

    def __len__(self) -> int:
        return len(self._rows)

    def range(self, prefix: str, after: str = "", most: int | None = None) -> list[Row]:
        """Rows below a prefix as they are now, in the order of their keys, ``most`` at most."""
        keys, rows = self._keys, self._rows
        first = max(bisect_left(keys, prefix), bisect_left(keys, after + "\0") if after else 0)
        last = bisect_left(keys, prefix + LAST)
        if most is not None:
            last = min(last, first + most)
        return [rows[key] for key in keys[first:last]]

    def count(self, prefix: str, after: str) -> int:
        """How many rows come after a key below a prefix."""
        return bisect_left(self._keys, prefix + LAST) - bisect_left(self._keys, after + "\0")

    def fill(self, event: Event) -> None:
        """Take over one change of the store."""
        entry = event.entry
        before = self._rows.get(entry.key)
        if event.deleted:
            after = None
            self._rows.pop(entry.key, None)
            index = bisect_left(self._keys, entry.key)
            if index < len(self._keys) and self._keys[index] == entry.key:
                del self._keys[index]
        else:
            after = Row(self.kind, self._cut, entry)
            if before is None:
                insort(self._keys, entry.key)
            self._rows[entry.key] = after
        self.revision = entry.modified
        change = Change(entry.modified, before, after)
        if len(self._changes) == REMEMBERED:
            self._forgotten = self._changes[0].revision
        self._changes.append(change)
        for watcher in list(self._watchers):
            watcher.offer(change)

    def start(self, revision: int) -> None:
        """The rows are those of a list at this revision; watches may begin here."""
        self._changes.clear()
        self._forgotten = self.revision = revision

    def watch(self, prefix: str, matches: Matches, revision: int) -> Watcher:
        """What changes after a revision. 0: what there is, as ADDED, then what changes."""
        watcher = Watcher(prefix, matches, () if revision else self.range(prefix))
        if revision:
            if revision < self._forgotten:
                raise errors.too_old(revision, self._forgotten)
            for change in self._changes:
                if change.revision > revision:
                    watcher.offer(change)
        self._watchers[watcher] = None
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """End a watch."""
        self._watchers.pop(watcher, None)
        watcher.channel.close()


class Caches:
    """The caches of all stored kinds, filled by one watch of the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._caches: dict[str, Cache] = {}
        self.revision = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, kind: Kind) -> Cache:
        """The cache of a stored kind."""
        prefix = prefix_of(kind)
        if prefix not in self._caches:
            self._caches[prefix] = Cache(kind, prefix)
        return self._caches[prefix]

    async def load(self) -> None:
        """Read everything that is stored."""
        page = await self._store.list(ROOT)
        for entry in page.entries:
            if (cache := self._cache_of(entry.key)) is not None:
                cache.fill(Event(False, entry, None))
        self.revision = page.revision
        for cache in self._caches.values():
            cache.start(page.revision)

    async def run(self) -> None:
        """Follow the store until cancelled."""
        watch = self._store.watch(ROOT, self.revision)
        try:
            async for batch in watch:
                for event in batch:
                    if (cache := self._cache_of(event.entry.key)) is not None:
                        cache.fill(event)
                self.revision = watch.revision
                self._wake()
        finally:
            watch.close()

    def _cache_of(self, key: str) -> Cache | None:
        group_end = key.index("/", len(ROOT))
        return self._caches.get(key[: key.index("/", group_end + 1) + 1])

    def _wake(self) -> None:
        still = []
        for revision, future in self._waiting:
            if revision > self.revision:
                still.append((revision, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still

    async def reached(self, revision: int) -> None:
        """Return when every change up to a revision is in the caches."""
        if revision <= self.revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        await future


ROOT = "/registry/"


def prefix_of(kind: Kind) -> str:
    """Where the objects of a kind are stored: below its hub's group."""
    group = kind.hub[0] if kind.hub is not None else kind.group
    return f"{ROOT}{group or 'core'}/{kind.plural}/"


def key_of(kind: Kind, namespace: str, name: str) -> str:
    """Where one object is stored."""
    prefix = prefix_of(kind)
    return f"{prefix}{namespace}/{name}" if kind.namespaced else f"{prefix}{name}"
