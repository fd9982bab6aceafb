"""Turns changes that have queued up into one transaction: the SQLite store's writer thread.

``synchronous=FULL`` makes a commit wait for the disk; whoever comes meanwhile shares the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import NamedTuple

from dockyard.base.errors import Corrupt, DockyardError, Unavailable
from dockyard.cluster.store import database
from dockyard.cluster.store.contract import Event, KeyConflict
from dockyard.cluster.store.database import Change

MOST_AT_ONCE = 512
"""Changes in one transaction."""
LARGEST_WAL = 64 * 1024 * 1024
"""Bytes of the log above which readers wait a moment while it is folded into the file."""
FOLD_SECONDS = 0.2


class Waiting(NamedTuple):
    """A change, who waits for it, and what became of it."""

    change: Change
    done: asyncio.Future[Event]


Outcome = tuple[Waiting, "Event | DockyardError"]
Outcomes = list[Outcome]
Committed = Callable[[Outcomes], None]


class Writer:
    """The thread and its connection. ``committed`` is called in the event loop, in order."""

    def __init__(self, path: str, committed: Committed) -> None:
        self._path, self._committed = path, committed
        self._connection = database.open_database(path)
        self._loop = asyncio.get_running_loop()
        self._revision = database.fact(self._connection, "revision")
        self._queue: queue.SimpleQueue[Waiting | int | None] = queue.SimpleQueue()
        self._failed: DockyardError | None = None
        """Why nothing can be written any more; set by the thread."""
        self._closing = False
        self._longest_log = LARGEST_WAL
        if database.fact(self._connection, "swept") < database.fact(self._connection, "oldest"):
            self._queue.put(0)
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> asyncio.Future[Event]:
        """Queue a change. Raises what has ended the store, if anything has."""
        if self._failed is not None:
            raise self._failed
        if self._closing:
            raise Unavailable(f"store: {self._path}: is closed")
        done: asyncio.Future[Event] = self._loop.create_future()
        self._queue.put(Waiting(change, done))
        return done

    def compact(self, revision: int) -> None:
        """Forget what was before, between the writes that come; 0: go on where it stopped."""
        self._queue.put(revision)

    async def close(self) -> None:
        """Finish what is queued; refuse what comes."""
        self._closing = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._connection.close()

    # the thread

    def _run(self) -> None:
        ended = False
        while not ended:
            changes, compact_to, ended = self._take()
            if changes:
                outcomes = self._commit(changes)
                self._loop.call_soon_threadsafe(self._committed, outcomes)
                self._bound_log()
            if compact_to is not None and self._compact(compact_to) and not ended:
                self._queue.put(0)

    def _take(self) -> tuple[list[Waiting], int | None, bool]:
        """Changes, a revision to compact to, and whether this is the end."""
        changes: list[Waiting] = []
        compact_to: int | None = None
        item = self._queue.get()
        while True:
            if item is None:
                return changes, compact_to, True
            if isinstance(item, Waiting):
                changes.append(item)
            else:
                compact_to = max(compact_to or 0, item)
            if len(changes) == MOST_AT_ONCE:
                return changes, compact_to, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return changes, compact_to, False

    def _commit(self, changes: list[Waiting]) -> Outcomes:
        if self._failed is not None:
            return [(each, self._failed) for each in changes]
        connection, revision = self._connection, self._revision
        outcomes: Outcomes = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for each in changes:
                try:
                    outcomes.append((each, database.apply(connection, each.change, revision + 1)))
                    revision += 1
                except (KeyConflict, Corrupt) as refusal:
                    outcomes.append((each, refusal))
            database.set_fact(connection, "revision", revision)
            connection.execute("COMMIT")
            self._revision = revision
        except sqlite3.Error as error:  # nothing of it has happened
            failure = self._broken(error)
            return [(each, failure) for each in changes]
        return outcomes

    def _compact(self, revision: int) -> bool:
        """A slice; whether more is left."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if revision > database.fact(self._connection, "oldest"):
                database.set_fact(self._connection, "oldest", revision)
            more = database.compact(self._connection)
            self._connection.execute("COMMIT")
            return more
        except sqlite3.Error as error:
            self._broken(error)
            return False

    def _broken(self, error: sqlite3.Error) -> DockyardError:
        """Take back the transaction. After a failed sync nobody knows what is on the disk."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        failure = database.explained(self._path, error)
        if database.is_fatal(error):
            self._failed = Unavailable(f"{failure}; restart on a sound disk")
            return self._failed
        return failure

    def _bound_log(self) -> None:
        """Reads that overlap keep SQLite from starting its log anew: make it, when it is long."""
        size = os.stat(f"{self._path}-wal").st_size
        if size <= self._longest_log:
            return
        connection = self._connection
        connection.execute(f"PRAGMA busy_timeout={int(FOLD_SECONDS * 1000)}")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        connection.execute("PRAGMA busy_timeout=30000")
        # one reader stays too long: not every commit shall wait for it
        self._longest_log = size + LARGEST_WAL // 4 if busy else LARGEST_WAL
