"""Turns the node's shared state into rows of node.db: one SQLite transaction a change.

Every process of this data root (a command, the daemon, the agent) opens it for itself; a connection
never crosses a fork. WAL, so that readers do not wait for a writer.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator

from dockyard.base.errors import Conflict, NotFound
from dockyard.node.engine.config import Container, PortSpec, config_from_json

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
BUSY_SECONDS = 20.0


class Database:
    """Containers by id and name."""

    def __init__(self, data_root: str) -> None:
        os.makedirs(data_root, 0o711, exist_ok=True)
        self._path = os.path.join(data_root, "node.db")

    @contextlib.contextmanager
    def _open(self, write: bool) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(SCHEMA)
            if write:
                connection.execute("BEGIN IMMEDIATE")
            yield connection
            if write:
                connection.execute("COMMIT")
        finally:
            connection.close()  # what was not committed is rolled back

    def insert(self, container: Container) -> None:
        """A new container. Raises :class:`Conflict` where its name is taken."""
        with self._open(write=True) as connection:
            taken = connection.execute(
                "SELECT id FROM containers WHERE name = ?", (container.name,)
            ).fetchone()
            if taken:
                raise Conflict(
                    f'Conflict. The container name "/{container.name}" is already in use by '
                    f'container "{taken[0]}". You have to remove (or rename) that container to '
                    "be able to reuse that name."
                )
            connection.execute("INSERT INTO containers VALUES (?,?,?,?,?,?)", _row(container))

    def update(self, container: Container) -> None:
        """Store a container as it is now; one that was removed meanwhile stays removed."""
        with self._open(write=True) as connection:
            connection.execute(
                "UPDATE containers SET name=?, owner=?, created=?, status=?, record=? WHERE id=?",
                (*_row(container)[1:], container.id),
            )

    def delete(self, container_id: str) -> None:
        """Forget a container; an unknown one is fine."""
        with self._open(write=True) as connection:
            connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def find(self, reference: str) -> Container:
        """By id, name, or the beginning of an id that only one has."""
        name = reference.removeprefix("/")
        with self._open(write=False) as connection:
            rows = (
                connection.execute(
                    "SELECT record FROM containers WHERE id = ? OR name = ?", (name, name)
                ).fetchall()
                or connection.execute(
                    "SELECT record FROM containers WHERE id >= ? AND id < ?", (name, name + "g")
                ).fetchall()
            )
        if not rows or not name:
            raise NotFound(f"No such container: {reference}")
        if len(rows) > 1:
            raise Conflict(f"Multiple IDs found with provided prefix: {reference}")
        return _container(rows[0][0])

    def all(self) -> list[Container]:
        """Every container, the newest first."""
        with self._open(write=False) as connection:
            rows = connection.execute(
                "SELECT record FROM containers ORDER BY created DESC"
            ).fetchall()
        return [_container(row[0]) for row in rows]


def _row(container: Container) -> tuple[str, str, str, float, str, str]:
    record = json.dumps(list(container._replace(config=container.config.to_json())))  # type: ignore[arg-type]
    return (container.id, container.name, container.owner, container.created, container.status,
            record)  # fmt: skip


def _container(record: str) -> Container:
    found = Container(*json.loads(record))
    return found._replace(
        config=config_from_json(list(found.config)),
        ports=tuple(PortSpec(*port) for port in found.ports),
        args=tuple(found.args),
    )
