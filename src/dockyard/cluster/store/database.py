"""Turns changes and questions into SQL: the part of the SQLite store that runs in its threads.

``current`` has each key's value; ``history`` every change since the last compaction and the one
before it of each key, for watches and for reads of the past. Both change in one transaction. Each
row carries a checksum of its bytes, because SQLite's pages have none.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from dockyard.base.errors import Conflict, Corrupt, DockyardError, Unavailable
from dockyard.cluster.store.contract import Entry, Event, KeyConflict, Page

VERSION = 1
"""Of the tables below, kept as SQLite's ``user_version``."""
SCHEMA = """
BEGIN;
CREATE TABLE current (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL,
    modified INTEGER NOT NULL, checksum INTEGER NOT NULL, ttl REAL) WITHOUT ROWID;
CREATE INDEX expiring ON current (ttl) WHERE ttl IS NOT NULL;
CREATE TABLE history (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL,
    created INTEGER NOT NULL, deleted INTEGER NOT NULL, previous INTEGER NOT NULL,
    checksum INTEGER NOT NULL);
CREATE INDEX history_of ON history (key, revision);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO facts VALUES ('revision', 0), ('oldest', 0), ('swept', 0);
PRAGMA user_version = 1;
COMMIT;
"""
LAST = "\U0010ffff"
"""No key has a higher character: the end of a prefix's range."""
COMPACTED_AT_ONCE = 2000
"""Revisions of history that one transaction forgets, so that writers wait a moment only."""


class Change(NamedTuple):
    """A write that waits for its turn."""

    kind: str
    """``create``, ``update`` or ``delete``."""
    key: str
    value: bytes
    expected: int
    ttl: float


def create_private(path: str) -> None:
    """Values may be secrets: a new file is its owner's alone, and so are SQLite's others beside it.

    Only before the first connection: closing a descriptor drops the POSIX locks of a process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def open_database(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that syncs every commit: what is acknowledged is on disk."""
    with speaking_of(path), contextlib.ExitStack() as on_failure:
        connection = sqlite3.connect(path, 30, isolation_level=None, check_same_thread=False)
        on_failure.callback(connection.close)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=16777216")
        connection.execute("PRAGMA cache_size=-8192")
        if read_only:
            connection.execute("PRAGMA query_only=1")
        else:
            _ensure_tables(connection, path)
        on_failure.pop_all()
        return connection


def _ensure_tables(connection: sqlite3.Connection, path: str) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if empty:
        connection.executescript(SCHEMA)
    elif version != VERSION:
        raise Conflict(
            f"store: {path}: has the layout {version}, this release reads {VERSION}; "
            "use the release that made it, or move the file away"
        )


@contextlib.contextmanager
def speaking_of(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(path, error) from error


def explained(path: str, error: sqlite3.Error) -> DockyardError:
    """Damage needs a snapshot; everything else (a full disk, a busy file) may pass."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(f"store: {path}: {error}; restore a snapshot")
    return Unavailable(f"store: {path}: {error}")


def is_fatal(error: sqlite3.Error) -> bool:
    """Whether nobody knows what is on the disk now: a failed sync is never tried again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def fact(connection: sqlite3.Connection, name: str) -> int:
    """``revision``, ``oldest``, or ``swept`` (up to where compaction has come)."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return int(row[0])


def set_fact(connection: sqlite3.Connection, name: str, value: int) -> None:
    """See :func:`fact`."""
    connection.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))


Row = tuple[str, bytes, int, int, int]
"""key, value, created, modified, checksum"""
COLUMNS = "key, value, created, modified, checksum"


def _entry(row: Row) -> Entry:
    key, value, created, modified, checksum = row
    if crc32(value) != checksum:
        raise Corrupt(f"store: {key} at revision {modified}: damaged on disk; restore a snapshot")
    return Entry(key, value, created, modified)


def apply(connection: sqlite3.Connection, change: Change, revision: int) -> Event:
    """One change as this revision, inside the caller's transaction. Raises KeyConflict."""
    previous = get(connection, change.key, 0)
    if change.kind == "create":
        if previous is not None:
            raise KeyConflict(change.key, previous)
        entry = Entry(change.key, change.value, revision, revision)
    else:
        if previous is None or change.expected not in (0, previous.modified):
            raise KeyConflict(change.key, previous)
        value = previous.value if change.kind == "delete" else change.value
        entry = Entry(change.key, value, previous.created, revision)
    deleted = change.kind == "delete"
    checksum = crc32(entry.value)
    if deleted:
        connection.execute("DELETE FROM current WHERE key = ?", (change.key,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?, ?, ?)",
            (*entry, checksum, change.ttl or None),
        )
    before = previous.modified if previous else 0
    connection.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
        (revision, entry.key, entry.value, entry.created, deleted, before, checksum),
    )
    return Event(deleted, entry, previous)


def expiring(connection: sqlite3.Connection) -> list[tuple[str, int, float]]:
    """(key, revision, seconds) of what does not stay."""
    rows = connection.execute("SELECT key, modified, ttl FROM current WHERE ttl IS NOT NULL")
    return [(key, modified, ttl) for key, modified, ttl in rows]


def get(connection: sqlite3.Connection, key: str, revision: int) -> Entry | None:
    """A value, now (0) or as it was."""
    if revision:
        return next(_at(connection, key, key + "\0", revision), None)
    row = connection.execute(f"SELECT {COLUMNS} FROM current WHERE key = ?", (key,)).fetchone()  # noqa: S608 - a constant
    return _entry(row) if row else None


def page(
    connection: sqlite3.Connection, prefix: str, revision: int, limit: int, after: str
) -> Page:
    """A part of a list, in one read transaction."""
    first, last = max(prefix, after + "\0" if after else ""), prefix + LAST
    connection.execute("BEGIN")
    try:
        at = revision or fact(connection, "revision")
        if revision:
            whole = list(_at(connection, first, last, revision))
            entries, total = whole[: limit or None], len(whole)
        else:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM current WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",  # noqa: S608 - a constant
                (first, last, limit or -1),
            )
            entries = [_entry(row) for row in rows]
            partial = limit and len(entries) == limit
            total = _count(connection, first, last) if partial else len(entries)
    finally:
        connection.execute("COMMIT")
    remaining = total - len(entries)
    return Page(entries, at, remaining > 0, remaining)


def count(connection: sqlite3.Connection, prefix: str) -> int:
    """How many keys are below a prefix."""
    return _count(connection, prefix, prefix + LAST)


def _count(connection: sqlite3.Connection, first: str, last: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM current WHERE key >= ? AND key < ?", (first, last)
    ).fetchone()
    return int(row[0])


def _at(connection: sqlite3.Connection, first: str, last: str, revision: int) -> Iterator[Entry]:
    """The entries of a range as they were: each key's last change up to the revision."""
    rows = connection.execute(
        "SELECT key, value, created, revision, checksum, deleted FROM history AS h "
        "WHERE key >= ?1 AND key < ?2 AND revision <= ?3 AND revision = "
        "(SELECT max(revision) FROM history WHERE key = h.key AND revision <= ?3) ORDER BY key",
        (first, last, revision),
    )
    for *row, deleted in rows:
        if not deleted:
            yield _entry(tuple(row))


def changes(connection: sqlite3.Connection, prefix: str, after: int, until: int) -> list[Event]:
    """Changes below a prefix, for a watch that begins in the past."""
    rows = connection.execute(
        "SELECT h.key, h.value, h.created, h.revision, h.checksum, h.deleted, "
        "p.key, p.value, p.created, p.revision, p.checksum "
        "FROM history AS h LEFT JOIN history AS p ON p.revision = h.previous "
        "WHERE h.revision > ? AND h.revision <= ? AND h.key >= ? AND h.key < ? "
        "ORDER BY h.revision",
        (after, until, prefix, prefix + LAST),
    )
    return [
        Event(bool(row[5]), _entry(row[:5]), _entry(row[6:]) if row[6] is not None else None)
        for row in rows
    ]


def compact(connection: sqlite3.Connection) -> bool:
    """Forget a slice of what is older than ``oldest``, in a transaction; whether more is left.

    Whatever a change replaced is needed no more, nor is a delete itself. The last change of each
    key stays: it is the previous value of the next one.
    """
    low, oldest = fact(connection, "swept"), fact(connection, "oldest")
    high = min(oldest, low + COMPACTED_AT_ONCE)
    if low < high:
        connection.execute(
            "DELETE FROM history WHERE revision IN "
            "(SELECT previous FROM history WHERE revision > ? AND revision <= ? AND previous > 0)",
            (low, high),
        )
        connection.execute(
            "DELETE FROM history WHERE revision > ? AND revision <= ? AND deleted", (low, high)
        )
        set_fact(connection, "swept", high)
    return high < oldest
