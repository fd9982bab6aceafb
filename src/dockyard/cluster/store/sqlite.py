"""A store in one SQLite file: the default where one machine is enough.

One writer thread commits whatever has queued up meanwhile in one transaction
(``synchronous=FULL``), so that many writers share one sync. Reads have a thread and a connection of
their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Conflict, Unavailable
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
from dockyard.cluster.store.hub import Hub

T = TypeVar("T")
MOST_AT_ONCE = 512
"""Changes in one transaction."""
Waiting = tuple[Change, "asyncio.Future[Event]"]
Batch = list[Waiting]
Outcomes = list[tuple["asyncio.Future[Event]", Event | BaseException]]


class SqliteStore:
    """Open with :func:`open_store`; close it, or the lock stays until the process ends."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock = _take_lock(path)
        self._writer = database.open_database(path)
        self._reader = database.open_database(path, read_only=True)
        revision = database.fact(self._writer, "revision")
        self._oldest = database.fact(self._writer, "oldest")
        self._loop = asyncio.get_running_loop()
        self._hub = Hub(self._replay, revision)
        self._failed: BaseException | None = None
        self._queue: queue.SimpleQueue[Waiting | None]
        self._queue = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(1, "store-read")
        self._thread = threading.Thread(target=self._write, args=(revision,), name="store-write")
        self._thread.start()
        self._sweep()

    # reading

    def revision(self) -> int:
        return self._hub.revision

    async def get(self, key: str, revision: int = 0) -> Entry | None:
        self._check(revision)
        return await self._read(lambda: database.get(self._reader, key, revision))

    async def list(
        self, prefix: str, *, revision: int = 0, limit: int = 0, after: str = ""
    ) -> Page:
        self._check(revision)
        return await self._read(lambda: database.page(self._reader, prefix, revision, limit, after))

    async def count(self, prefix: str) -> int:
        return await self._read(lambda: database.count(self._reader, prefix))

    def watch(self, prefix: str, revision: int) -> Watch:
        return self._hub.watch(prefix, revision)

    def progress(self) -> None:
        """Tell every watch up to where it knows everything."""
        self._hub.progress()

    async def _replay(self, prefix: str, after: int, until: int) -> Events:
        if after < self._oldest:
            raise Compacted(after, self._oldest)
        return await self._read(lambda: database.changes(self._reader, prefix, after, until))

    def _check(self, revision: int) -> None:
        if revision > self.revision():
            raise FutureRevision(revision, self.revision())
        if revision and revision < self._oldest:
            raise Compacted(revision, self._oldest)

    async def _read(self, work: Callable[[], T]) -> T:
        with self._clock.busy():
            return await self._loop.run_in_executor(self._readers, work)

    # writing

    async def create(self, key: str, value: bytes, *, ttl: float = 0.0) -> int:
        event = await self._change(Change("create", key, value, 0, self._expiry(ttl)))
        return event.entry.modified

    async def update(self, key: str, value: bytes, expected: int, *, ttl: float = 0.0) -> int:
        event = await self._change(Change("update", key, value, expected, self._expiry(ttl)))
        return event.entry.modified

    async def delete(self, key: str, expected: int = 0) -> Entry:
        return (await self._change(Change("delete", key, b"", expected, None))).entry

    def _expiry(self, ttl: float) -> float | None:
        return self._clock.time() + ttl if ttl else None

    async def _change(self, change: Change) -> Event:
        if self._failed is not None:
            raise Unavailable(f"store: {self._path}: {self._failed}; restart on a sound disk")
        done: asyncio.Future[Event] = self._loop.create_future()
        with self._clock.busy():
            self._queue.put((change, done))
            return await asyncio.shield(done)

    def _write(self, revision: int) -> None:
        """The writer thread: everything that waits becomes one transaction."""
        while True:
            batch = self._take_batch()
            if batch is None:
                return
            outcomes: Outcomes = []
            fresh = revision
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                for change, done in batch:
                    try:
                        outcomes.append((done, database.apply(self._writer, change, fresh + 1)))
                        fresh += 1
                    except KeyConflict as conflict:
                        outcomes.append((done, conflict))
                self._writer.execute("UPDATE facts SET value = ? WHERE name = 'revision'", (fresh,))
                self._writer.execute("COMMIT")
                revision = fresh
            except sqlite3.Error as error:  # disk full or broken: nothing of it happened
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                failure = Unavailable(f"store: {self._path}: {error}")
                outcomes = [(done, failure) for _, done in batch]
                if "disk I/O" in str(error) or "malformed" in str(error):
                    self._failed = error
            self._loop.call_soon_threadsafe(self._acknowledge, outcomes)

    def _take_batch(self) -> Batch | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < MOST_AT_ONCE:
            try:
                another = self._queue.get_nowait()
            except queue.Empty:
                break
            if another is None:
                self._queue.put(None)
                break
            batch.append(another)
        return batch

    def _acknowledge(self, outcomes: Outcomes) -> None:
        """In the loop: watches first, so that whoever wrote finds its change delivered."""
        self._hub.publish([found for _, found in outcomes if isinstance(found, Event)])
        for done, found in outcomes:
            if done.done():
                continue
            if isinstance(found, Event):
                done.set_result(found)
            else:
                done.set_exception(found)

    # upkeep

    def _sweep(self) -> None:
        """Every second: keys whose time is over go, each as a delete of what was seen."""
        self._sweeper = self._clock.call_later(1.0, self._sweep)
        now = self._clock.time()
        for entry in database.expired(self._reader, now):
            done: asyncio.Future[Event] = self._loop.create_future()
            with contextlib.ExitStack() as until_done:
                until_done.enter_context(self._clock.busy())
                done.add_done_callback(_after(until_done.pop_all()))
            self._queue.put((Change("delete", entry.key, b"", entry.modified, None), done))

    async def compact(self, revision: int) -> None:
        self._check(revision)
        self._oldest = max(self._oldest, revision)
        await self._exclusively(lambda c: database.compact(c, revision))

    async def _exclusively(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """A transaction of its own, in the read thread, on a connection of its own."""

        def run() -> None:
            with contextlib.closing(database.open_database(self._path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                work(connection)
                connection.execute("COMMIT")

        await self._read(run)

    async def snapshot(self, path: str) -> int:
        def run() -> int:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                self._reader.backup(copy)
                return database.fact(copy, "revision")

        return await self._read(run)

    async def close(self) -> None:
        self._sweeper.cancel()
        self._hub.close()
        self._queue.put(None)
        with self._clock.busy():
            await self._loop.run_in_executor(None, self._thread.join)
        self._readers.shutdown(wait=True)
        self._reader.close()
        self._writer.close()
        os.close(self._lock)


def _after(stack: contextlib.ExitStack) -> Callable[[asyncio.Future[Event]], None]:
    """Lets go when a sweep's delete is done; one that lost against a writer is fine."""

    def done(future: asyncio.Future[Event]) -> None:
        future.exception()
        stack.close()

    return done


def open_store(path: str, clock: Clock) -> SqliteStore:
    """The store in this file; made if it is not there. Call it inside the event loop."""
    return SqliteStore(path, clock)


def restore(snapshot: str, path: str) -> None:
    """A snapshot becomes the store file ``path``, which must not be there yet."""
    if os.path.exists(path):
        raise Conflict(f"store: {path}: is there already; move it away first")
    with contextlib.closing(sqlite3.connect(snapshot)) as source:
        verdict = source.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise Conflict(f"store: {snapshot}: is damaged: {verdict}")
        with contextlib.closing(sqlite3.connect(path)) as target:
            source.backup(target)


def _take_lock(path: str) -> int:
    """One process a file: flock(2) on ``<path>.lock``, which names the pid."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode().strip()
        os.close(descriptor)
        raise Conflict(f"store: {path}: pid {pid} has it open; stop that one first") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
