"""Turns the node's containers into rows of node.db: one SQLite transaction a change.

Every process of this data root (a command, the daemon, the agent) opens it for itself, once a
thread. WAL, so that readers do not wait for a writer. A connection must not cross a fork, in which
its locks would be lost: :meth:`Database.rest` before anything that may fork.
"""

from __future__ import annotations

import os
from _thread import _local as Local  # `threading` brings more than a command needs

from dockyard.base import contexts, sqlite
from dockyard.base.errors import Conflict, Corrupt, NotFound, Unavailable
from dockyard.node.engine import event as events
from dockyard.node.engine.config import (
    CREATED,
    CREATING,
    RESTARTING,
    RUNNING,
    UNFINISHED,
    Container,
)
from dockyard.node.engine.event import Event
from dockyard.node.engine.record import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


SCHEMA = """
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    status TEXT NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
"""
EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    record TEXT NOT NULL
);
"""
EVENTS_KEPT = 4096
"""Older ones go: the table never grows beyond."""
BUSY_SECONDS = 20.0
PAGES_IN_LOG = 100
"""Of 4 kB."""


class NameTaken(Conflict):
    """Another container has the name."""


class Database:
    """Containers by id and name. Safe for threads."""

    def __init__(self, data_root: str) -> None:
        self._path = os.path.join(data_root, "node.db")
        self._thread = Local()

    def _connection(self) -> sqlite.Connection:
        found: sqlite.Connection | None = getattr(self._thread, "connection", None)
        if found is None:
            os.makedirs(os.path.dirname(self._path), 0o711, exist_ok=True)
            # By name: to close a descriptor of the file would end the locks of other threads'
            # connections. Variables of containers are in it, and among them passwords.
            with contexts.suppress(FileExistsError):
                os.mknod(self._path, 0o600)
            os.chmod(self._path, 0o600)
            found = sqlite.connect(self._path, BUSY_SECONDS, isolation_level=None)
            sqlite.write_ahead(found, BUSY_SECONDS)
            # A command ends without closing: who comes next reads what is left in the log.
            found.execute(f"PRAGMA wal_autocheckpoint={PAGES_IN_LOG}")
            found.execute(SCHEMA)
            found.execute(EVENTS)
            self._thread.connection = found
        return found

    def rest(self) -> None:
        """Let go of this thread's connection; the next call opens another."""
        found: sqlite.Connection | None = getattr(self._thread, "connection", None)
        if found is not None:
            self._thread.connection = None
            found.close()

    @contexts.contextmanager
    def _reading(self) -> Iterator[sqlite.Connection]:
        try:
            yield self._connection()
        except sqlite.OperationalError as error:  # busy, no space left, an input or output error
            self.rest()
            raise Unavailable(f"node.db: {self._path}: {error}") from error
        except sqlite.DatabaseError as error:
            self.rest()
            raise Corrupt(f"node.db: {self._path}: {error}; restore it from a backup") from error

    @contexts.contextmanager
    def _writing(self, lasting: bool = True) -> Iterator[sqlite.Connection]:
        """A transaction, on disk when it ends. Nobody waits for the disk where it is of a container
        that vanishes with its end: after a loss of power it is to be gone in any case."""
        with self._reading() as connection:
            connection.execute(f"PRAGMA synchronous={'FULL' if lasting else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def insert(self, container: Container) -> None:
        """A new container. Raises :class:`NameTaken`."""
        with self._writing(not container.config.auto_remove) as connection:
            _refuse_taken(connection, container)
            connection.execute("INSERT INTO containers VALUES (?,?,?,?,?,?)", _row(container))

    def update(self, container: Container, *told: Event) -> None:
        """Store a container as it is now, and what has happened to it, as one change; one that
        was removed meanwhile stays removed."""
        with self._writing(not container.config.auto_remove) as connection:
            _append(connection, told)
            _refuse_taken(connection, container)
            connection.execute(
                "UPDATE containers SET name=?, owner=?, created=?, status=?, record=? WHERE id=?",
                (*_row(container)[1:], container.id),
            )

    def delete(self, container_id: str, *told: Event, lasting: bool = True) -> None:
        """Forget a container; an unknown one is fine. ``lasting``: on disk before this returns."""
        with self._writing(lasting) as connection:
            _append(connection, told)
            connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def tell(self, *told: Event) -> None:
        """Write down what has happened where no row changes. Nobody waits for the disk: a machine
        that loses its power may lose the last of these."""
        with self._reading() as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
        try:
            with self._writing() as connection:
                _append(connection, told)
        finally:
            with self._reading() as connection:
                connection.execute("PRAGMA synchronous=FULL")

    def told(self, after: int = 0) -> list[tuple[int, Event]]:
        """The events behind a number, the oldest first, each with its own."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, time, record FROM events WHERE number > ? ORDER BY number", (after,)
            ).fetchall()
        return [(number, events.decode(record, time)) for number, time, record in rows]

    def find(self, reference: str) -> Container:
        """By id, name, or the beginning of an id that only one has; none that is being made."""
        name = reference.removeprefix("/").encode(errors="replace").decode()  # bytes are no name
        with self._reading() as connection:
            rows = (
                connection.execute(
                    "SELECT record FROM containers WHERE (id = ?1 OR name = ?1) AND status != ?2",
                    (name, CREATING),
                ).fetchall()
                or connection.execute(
                    "SELECT record FROM containers WHERE id >= ? AND id < ? AND status != ?",
                    (name, name + "g", CREATING),
                ).fetchall()
            )
        if not rows or not name:
            raise NotFound(f"No such container: {reference}")
        if len(rows) > 1:
            raise Conflict(f"Multiple IDs found with provided prefix: {reference}")
        return decode(rows[0][0])

    def get(self, container_id: str) -> Container | None:
        """By id, whatever its status."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT record FROM containers WHERE id = ?", (container_id,)
            ).fetchone()
        return decode(row[0]) if row else None

    def all(self) -> list[Container]:
        """Every container but those that are being made, the newest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT record FROM containers WHERE status != ? ORDER BY created DESC",
                (CREATING,),
            ).fetchall()
        return [decode(row[0]) for row in rows]

    def vanishing(self, owner: str) -> list[Container]:
        """An owner's containers that are removed with their end, once they have been started."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT record FROM containers WHERE owner = ? AND status NOT IN (?, ?)"
                " AND record LIKE '%\"auto_remove\":true%'",
                (owner, CREATING, CREATED),
            ).fetchall()
        return [found for row in rows if (found := decode(row[0])).config.auto_remove]

    def policed(self, owner: str) -> list[Container]:
        """An owner's containers that run, or are to run again, by a restart policy."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT record FROM containers WHERE owner = ? AND status IN (?, ?)"
                ' AND record NOT LIKE \'%"restart":{"name":"no"%\''
                " AND record LIKE '%\"restart\":{%'",
                (owner, RUNNING, RESTARTING),
            ).fetchall()
        return [decode(row[0]) for row in rows]

    def running(self) -> list[tuple[str, bool]]:
        """Ids of those that run as far as is known, and whether each has a health check."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT id, record LIKE '%\"health\":{%' FROM containers WHERE status = ?",
                (RUNNING,),
            ).fetchall()
        return [(row[0], bool(row[1])) for row in rows]

    def unfinished(self) -> list[str]:
        """Ids of containers in the middle of a change."""
        with self._reading() as connection:
            marks = ",".join("?" * len(UNFINISHED))
            rows = connection.execute(
                f"SELECT id FROM containers WHERE status IN ({marks})",  # noqa: S608 - marks
                UNFINISHED,
            ).fetchall()
        return [row[0] for row in rows]

    def ids(self) -> set[str]:
        """Of every container, whatever its status."""
        with self._reading() as connection:
            return {row[0] for row in connection.execute("SELECT id FROM containers")}


def _append(connection: sqlite.Connection, told: tuple[Event, ...]) -> None:
    for event in told:
        cursor = connection.execute(
            "INSERT INTO events (time, record) VALUES (?,?)", (event.time, events.encode(event))
        )
        connection.execute("DELETE FROM events WHERE number <= ?",
                           ((cursor.lastrowid or 0) - EVENTS_KEPT,))  # fmt: skip


def _refuse_taken(connection: sqlite.Connection, container: Container) -> None:
    taken = connection.execute(
        "SELECT id FROM containers WHERE name = ? AND id != ?", (container.name, container.id)
    ).fetchone()
    if taken:
        raise NameTaken(
            f'Conflict. The container name "/{container.name}" is already in use by container '
            f'"{taken[0]}". You have to remove (or rename) that container to be able to reuse '
            "that name."
        )


def _row(container: Container) -> tuple[str, str, str, float, str, str]:
    return (container.id, container.name, container.owner, container.created, container.status,
            encode(container))  # fmt: skip
