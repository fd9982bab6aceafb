"""A store in memory: the contract without a disk, for tests and for clusters to forget."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right, insort
from pathlib import Path

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import Corrupt, Unavailable
from dockyard.cluster.store.contract import (
    Compacted,
    Entry,
    Event,
    Events,
    FutureRevision,
    KeyConflict,
    Page,
    Watch,
)
from dockyard.cluster.store.expiry import Expiries
from dockyard.cluster.store.hub import Hub

LAST = "\U0010ffff"


class MemoryStore:
    """Current values, their sorted keys, and every change since the last compaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._current: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._history: list[Event] = []
        self._oldest = 0
        self._hub = Hub(self._replay, 0)
        self._expiries = Expiries(clock, self._expire)
        self._closed = False

    def revision(self) -> int:
        return self._hub.revision

    async def get(self, key: str, revision: int = 0) -> Entry | None:
        self._check(revision)
        if not revision or revision == self.revision():
            return self._current.get(key)
        return self._at(revision).get(key)

    async def list(
        self, prefix: str, *, revision: int = 0, limit: int = 0, after: str = ""
    ) -> Page:
        self._check(revision)
        at = revision or self.revision()
        state = self._current if at == self.revision() else self._at(at)
        keys = self._keys if state is self._current else sorted(state)
        first = bisect_right(keys, after) if after else bisect_left(keys, prefix)
        last = bisect_left(keys, prefix + LAST)
        first = max(first, bisect_left(keys, prefix))
        end = min(last, first + limit) if limit else last
        entries = [state[key] for key in keys[first:end]]
        return Page(entries, at, end < last, last - end)

    async def count(self, prefix: str) -> int:
        return bisect_left(self._keys, prefix + LAST) - bisect_left(self._keys, prefix)

    async def create(self, key: str, value: bytes, *, ttl: float = 0.0) -> int:
        self._check_open()
        if key in self._current:
            raise KeyConflict(key, self._current[key])
        revision = self.revision() + 1
        insort(self._keys, key)
        self._put(Event(False, Entry(key, value, revision, revision), None), ttl)
        return revision

    async def update(self, key: str, value: bytes, expected: int, *, ttl: float = 0.0) -> int:
        previous = self._expect(key, expected)
        revision = self.revision() + 1
        entry = Entry(key, value, previous.created, revision)
        self._put(Event(False, entry, previous), ttl)
        return revision

    async def delete(self, key: str, expected: int = 0) -> Entry:
        previous = self._expect(key, expected)
        return self._remove(previous)

    def _expect(self, key: str, expected: int) -> Entry:
        self._check_open()
        current = self._current.get(key)
        if current is None or expected not in (0, current.modified):
            raise KeyConflict(key, current)
        return current

    def _put(self, event: Event, ttl: float) -> None:
        entry = event.entry
        self._current[entry.key] = entry
        self._expiries.set(entry.key, entry.modified, ttl)
        self._record(event)

    def _remove(self, previous: Entry) -> Entry:
        key = previous.key
        gone = previous._replace(modified=self.revision() + 1)
        del self._current[key]
        del self._keys[bisect_left(self._keys, key)]
        self._expiries.set(key, gone.modified, 0.0)
        self._record(Event(True, gone, previous))
        return gone

    def _expire(self, key: str, modified: int) -> None:
        current = self._current.get(key)
        if current is not None and current.modified == modified:
            self._remove(current)

    def _record(self, event: Event) -> None:
        self._history.append(event)
        self._hub.publish([event])

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("store: memory: is closed")

    def _check(self, revision: int) -> None:
        if revision > self.revision():
            raise FutureRevision(revision, self.revision())
        if revision and revision < self._oldest:
            raise Compacted(revision, self._oldest)

    def _at(self, revision: int) -> dict[str, Entry]:
        """The state at a revision: today's, with later changes taken back."""
        state = dict(self._current)
        for event in reversed(self._history):
            if event.entry.modified <= revision:
                break
            if event.previous is None:
                state.pop(event.entry.key, None)
            else:
                state[event.entry.key] = event.previous
        return state

    def watch(self, prefix: str, revision: int) -> Watch:
        return self._hub.watch(prefix, revision)

    def progress(self) -> None:
        self._hub.progress()

    async def _replay(self, prefix: str, after: int, until: int) -> Events:
        if after < self._oldest:
            raise Compacted(after, self._oldest)
        first, last = (bisect_right(self._history, at, key=_when) for at in (after, until))
        return [event for event in self._history[first:last] if event.entry.key.startswith(prefix)]

    async def compact(self, revision: int) -> None:
        self._check(revision)
        self._oldest = max(self._oldest, revision)
        del self._history[: bisect_right(self._history, revision, key=_when)]

    async def snapshot(self, path: str) -> int:
        revision = self.revision()
        entries = [
            [entry.key, b64encode(entry.value).decode(), entry.created, entry.modified]
            for entry in self._current.values()
        ]
        text = json.dumps({"revision": revision, "entries": entries})
        await in_thread(self._clock, Path(path).write_text, text)
        return revision

    async def close(self) -> None:
        self._closed = True
        self._hub.close()
        self._expiries.close()


def _when(event: Event) -> int:
    return event.entry.modified


def restore(path: str, clock: Clock) -> MemoryStore:
    """The store that a snapshot holds; its history begins there."""
    store = MemoryStore(clock)
    try:
        found = json.loads(Path(path).read_bytes())
        for key, value, created, modified in found["entries"]:
            store._current[key] = Entry(key, b64decode(value), created, modified)
        store._hub.revision = store._oldest = found["revision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"store: {path}: is no snapshot of a memory store: {error}") from error
    store._keys = sorted(store._current)
    return store
