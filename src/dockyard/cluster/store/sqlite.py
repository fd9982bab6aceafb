"""A store in one SQLite file: the default where one machine is enough.

Changes go through the writer thread (:mod:`dockyard.cluster.store.writer`); reads have a thread and
a connection of their own, and see every commit at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Conflict, Corrupt, Unavailable
from dockyard.cluster.store import database
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
from dockyard.cluster.store.database import Change
from dockyard.cluster.store.expiry import Expiries
from dockyard.cluster.store.hub import Hub
from dockyard.cluster.store.lock import exclusive
from dockyard.cluster.store.writer import Outcomes, Writer

T = TypeVar("T")
EXPIRE_AGAIN_SECONDS = 10.0
"""After a disk that was full, for instance."""


class SqliteStore:
    """Open with :func:`open_store`; close it, or the lock stays until the process ends."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._loop = asyncio.get_running_loop()
        self._closed = False
        with contextlib.ExitStack() as on_failure:
            on_failure.enter_context(exclusive(path))
            database.create_private(path)
            self._writer = Writer(path, self._committed)
            self._reader = database.open_database(path, read_only=True)
            self._oldest = database.fact(self._reader, "oldest")
            self._hub = Hub(self._replay, database.fact(self._reader, "revision"))
            self._readers = ThreadPoolExecutor(1, "store-read")
            self._expiries = Expiries(clock, self._expire)
            for key, modified, ttl in database.expiring(self._reader):
                self._expiries.set(key, modified, ttl)
            self._owned = on_failure.pop_all()

    # reading

    def revision(self) -> int:
        return self._hub.revision

    async def get(self, key: str, revision: int = 0) -> Entry | None:
        self._check(revision)
        found = await self._read(lambda: database.get(self._reader, key, revision))
        if found is not None:
            await self._hub.reached(found.modified)
        return found

    async def list(
        self, prefix: str, *, revision: int = 0, limit: int = 0, after: str = ""
    ) -> Page:
        self._check(revision)
        found = await self._read(
            lambda: database.page(self._reader, prefix, revision, limit, after)
        )
        await self._hub.reached(found.revision)
        return found

    async def count(self, prefix: str) -> int:
        return await self._read(lambda: database.count(self._reader, prefix))

    def watch(self, prefix: str, revision: int) -> Watch:
        return self._hub.watch(prefix, revision)

    def progress(self) -> None:
        self._hub.progress()

    async def _replay(self, prefix: str, after: int, until: int) -> Events:
        if after < self._oldest:
            raise Compacted(after, self._oldest)
        found = await self._read(lambda: database.changes(self._reader, prefix, after, until))
        if after < self._oldest:  # compacted while it was read
            raise Compacted(after, self._oldest)
        return found

    def _check(self, revision: int) -> None:
        if revision > self.revision():
            raise FutureRevision(revision, self.revision())
        if revision and revision < self._oldest:
            raise Compacted(revision, self._oldest)

    async def _read(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise Unavailable(f"store: {self._path}: is closed")
        with self._clock.busy(), database.speaking_of(self._path):
            return await self._loop.run_in_executor(self._readers, work)

    # writing

    async def create(self, key: str, value: bytes, *, ttl: float = 0.0) -> int:
        return (await self._change(Change("create", key, value, 0, ttl))).entry.modified

    async def update(self, key: str, value: bytes, expected: int, *, ttl: float = 0.0) -> int:
        return (await self._change(Change("update", key, value, expected, ttl))).entry.modified

    async def delete(self, key: str, expected: int = 0) -> Entry:
        return (await self._change(Change("delete", key, b"", expected, 0.0))).entry

    async def _change(self, change: Change) -> Event:
        with self._clock.busy():
            return await asyncio.shield(self._writer.submit(change))

    def _committed(self, outcomes: Outcomes) -> None:
        """In the loop: watches first, so that whoever wrote finds its change delivered."""
        self._hub.publish([found for _, found in outcomes if isinstance(found, Event)])
        for (change, done), found in outcomes:
            if isinstance(found, Event):
                self._expiries.set(change.key, found.entry.modified, change.ttl)
            if done.done():
                continue
            if isinstance(found, Event):
                done.set_result(found)
            else:
                done.set_exception(found)

    def _expire(self, key: str, modified: int) -> None:
        """A delete of what was seen: one that loses against a writer is fine."""
        until_done = contextlib.ExitStack()
        until_done.enter_context(self._clock.busy())

        def ended(done: asyncio.Future[Event]) -> None:
            until_done.close()
            error = done.exception()
            if error is not None and not isinstance(error, KeyConflict) and not self._closed:
                self._expiries.set(key, modified, EXPIRE_AGAIN_SECONDS)

        self._writer.submit(Change("delete", key, b"", modified, 0.0)).add_done_callback(ended)

    # upkeep

    async def compact(self, revision: int) -> None:
        self._check(revision)
        self._oldest = max(self._oldest, revision)
        self._writer.compact(revision)

    async def snapshot(self, path: str) -> int:
        return await self._read(lambda: _copy(self._reader, path))

    async def close(self) -> None:
        if self._closed:
            return
        self._expiries.close()
        with self._clock.busy():
            await self._writer.close()
        self._closed = True
        self._hub.close()
        self._readers.shutdown(wait=True)
        self._reader.close()
        self._owned.close()


def open_store(path: str, clock: Clock) -> SqliteStore:
    """The store in this file; made if it is not there. Call it inside the event loop."""
    return SqliteStore(path, clock)


def restore(snapshot: str, path: str) -> None:
    """A snapshot becomes the store file ``path``, which must not be there yet."""
    if os.path.exists(path):
        raise Conflict(f"store: {path}: is there already; move it away first")
    if not os.path.exists(snapshot):
        raise Unavailable(f"store: {snapshot}: there is no such snapshot")
    with database.speaking_of(snapshot), contextlib.closing(sqlite3.connect(snapshot)) as source:
        verdict = source.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise Corrupt(f"store: {snapshot}: is damaged: {verdict}; use another snapshot")
        _copy(source, path)


def _copy(source: sqlite3.Connection, path: str) -> int:
    """A whole copy, or none: written beside, synced, renamed. Its revision."""
    beside = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    database.create_private(beside)
    with contextlib.closing(sqlite3.connect(beside)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        revision = database.fact(copy, "revision")
    _sync(beside)
    os.replace(beside, path)
    _sync(os.path.dirname(os.path.abspath(path)))
    return revision


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
