"""Turns single changes into SQL: the part of the SQLite store that runs in its threads.

``current`` has each key's value; ``history`` every change since the last compaction, for watches
and for reads of the past. Both change in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.cluster.store.contract import Entry, Event, KeyConflict, Page

SCHEMA = """
CREATE TABLE IF NOT EXISTS current (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL,
    modified INTEGER NOT NULL, expires REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiring ON current (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL,
    created INTEGER NOT NULL, deleted INTEGER NOT NULL, previous INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS history_of ON history (key, revision);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO facts VALUES ('revision', 0), ('oldest', 0);
"""
LAST = "\U0010ffff"
"""No key has a higher character: the end of a prefix's range."""


class Change(NamedTuple):
    """A write that waits for its turn."""

    kind: str
    """``create``, ``update`` or ``delete``."""
    key: str
    value: bytes
    expected: int
    expires: float | None


def open_database(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that syncs every commit: what is acknowledged is on disk."""
    connection = sqlite3.connect(path, 30, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA journal_size_limit=67108864")
    connection.execute("PRAGMA cache_size=-8192")
    if read_only:
        connection.execute("PRAGMA query_only=1")
    else:
        connection.executescript(SCHEMA)
    return connection


def fact(connection: sqlite3.Connection, name: str) -> int:
    """``revision`` or ``oldest``."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return int(row[0])


def apply(connection: sqlite3.Connection, change: Change, revision: int) -> Event:
    """One change as this revision, inside the caller's transaction. Raises KeyConflict."""
    row = connection.execute(
        "SELECT key, value, created, modified FROM current WHERE key = ?", (change.key,)
    ).fetchone()
    previous = Entry(*row) if row else None
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
    if deleted:
        connection.execute("DELETE FROM current WHERE key = ?", (change.key,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?, ?)", (*entry, change.expires)
        )
    connection.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
        (revision, entry.key, entry.value, entry.created, deleted,
         previous.modified if previous else 0),
    )  # fmt: skip
    return Event(deleted, entry, previous)


def expired(connection: sqlite3.Connection, now: float) -> list[Entry]:
    """Entries whose time is over."""
    rows = connection.execute(
        "SELECT key, value, created, modified FROM current WHERE expires <= ?", (now,)
    )
    return [Entry(*row) for row in rows]


def get(connection: sqlite3.Connection, key: str, revision: int) -> Entry | None:
    """A value, now (0) or as it was."""
    if not revision:
        row = connection.execute(
            "SELECT key, value, created, modified FROM current WHERE key = ?", (key,)
        ).fetchone()
        return Entry(*row) if row else None
    found = list(_at(connection, key, key + "\0", revision))
    return found[0] if found else None


def page(
    connection: sqlite3.Connection, prefix: str, revision: int, limit: int, after: str
) -> Page:
    """A part of a list, in one read transaction."""
    connection.execute("BEGIN")
    try:
        at = revision or fact(connection, "revision")
        first = after + "\0" if after else prefix
        if not revision:
            rows = connection.execute(
                "SELECT key, value, created, modified FROM current WHERE key >= ? AND key < ? "
                "ORDER BY key LIMIT ?",
                (max(first, prefix), prefix + LAST, limit or -1),
            )
            entries = [Entry(*row) for row in rows]
            total = _count(connection, max(first, prefix), prefix + LAST)
        else:
            whole = list(_at(connection, max(first, prefix), prefix + LAST, revision))
            entries, total = whole[: limit or None], len(whole)
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
    """The entries of a range as they were: each key's last change up to the revision.

    Values that have not changed since the last compaction are in ``current`` only.
    """
    rows = connection.execute(
        "SELECT key, value, created, revision, deleted FROM history AS h WHERE key >= ?1 AND "
        "key < ?2 AND revision = (SELECT max(revision) FROM history WHERE key = h.key AND "
        "revision <= ?3) UNION ALL SELECT key, value, created, modified, 0 FROM current "
        "WHERE key >= ?1 AND key < ?2 AND modified <= ?3 AND NOT EXISTS "
        "(SELECT 1 FROM history WHERE key = current.key AND revision <= ?3) ORDER BY 1",
        (first, last, revision),
    )
    for key, value, created, modified, deleted in rows:
        if not deleted:
            yield Entry(key, value, created, modified)


def changes(connection: sqlite3.Connection, prefix: str, after: int, until: int) -> list[Event]:
    """Changes below a prefix, for a watch that begins in the past."""
    rows = connection.execute(
        "SELECT h.key, h.value, h.created, h.revision, h.deleted, h.previous, p.value, p.created "
        "FROM history AS h LEFT JOIN history AS p ON p.revision = h.previous "
        "WHERE h.revision > ? AND h.revision <= ? AND h.key >= ? AND h.key < ? "
        "ORDER BY h.revision",
        (after, until, prefix, prefix + LAST),
    )
    found = []
    for key, value, created, revision, deleted, before, old, old_created in rows:
        previous = Entry(key, old, old_created, before) if before and old is not None else None
        found.append(Event(bool(deleted), Entry(key, value, created, revision), previous))
    return found


def compact(connection: sqlite3.Connection, revision: int) -> None:
    """Forget changes that no read or watch after the revision needs, inside a transaction."""
    connection.execute(
        "DELETE FROM history WHERE revision <= ?1 AND (deleted = 1 OR revision < "
        "(SELECT max(revision) FROM history AS later WHERE later.key = history.key "
        "AND later.revision <= ?1))",
        (revision,),
    )
    connection.execute("UPDATE facts SET value = ? WHERE name = 'oldest'", (revision,))
