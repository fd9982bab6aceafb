"""Turns what the store knows of its content into rows of ``images.db``.

A connection lives for one transaction: none is carried over a fork or between threads (G21).
"""

from __future__ import annotations

import os

from dockyard.base import contexts, sqlite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_VERSION = 3
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    manifest TEXT PRIMARY KEY,  -- digest of the manifest
    media_type TEXT NOT NULL,   -- kept with the digest: one document never has two types
    id TEXT NOT NULL,           -- digest of the configuration
    added REAL NOT NULL         -- seconds since the epoch
) STRICT;
CREATE INDEX IF NOT EXISTS images_by_id ON images (id);
CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY,      -- docker.io/library/busybox:latest, or ...@sha256:...
    manifest TEXT NOT NULL REFERENCES images (manifest)
) STRICT;
CREATE INDEX IF NOT EXISTS names_by_manifest ON names (manifest);
CREATE TABLE IF NOT EXISTS layers (
    chain TEXT PRIMARY KEY,     -- names the unpacked directory
    diff TEXT NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,      -- bytes of the blob
    media_type TEXT NOT NULL,
    unpacked INTEGER NOT NULL   -- bytes of the tar stream
) STRICT;
CREATE TABLE IF NOT EXISTS leases (
    holder TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES images (manifest),
    PRIMARY KEY (holder, manifest)
) STRICT;
CREATE TABLE IF NOT EXISTS cache (
    key TEXT PRIMARY KEY,       -- what a build step depends on, hashed
    chain TEXT NOT NULL REFERENCES layers (chain)
) STRICT;
CREATE TABLE IF NOT EXISTS packed (
    blob TEXT PRIMARY KEY,      -- digest of a plain layer
    digest TEXT NOT NULL,       -- of what a push made of it
    size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bundles (
    digest TEXT PRIMARY KEY,    -- of an index that is kept whole, or of an artifact
    media_type TEXT NOT NULL,
    subject TEXT,               -- the manifest that it is about
    added REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS bundles_by_subject ON bundles (subject);
CREATE TABLE IF NOT EXISTS bundle_names (
    name TEXT PRIMARY KEY,      -- also the image's that came out of the index
    digest TEXT NOT NULL REFERENCES bundles (digest)
) STRICT;
-- A name that goes to another image, or goes, means no index any more.
CREATE TRIGGER IF NOT EXISTS name_added AFTER INSERT ON names
    BEGIN DELETE FROM bundle_names WHERE name = new.name; END;
CREATE TRIGGER IF NOT EXISTS name_moved AFTER UPDATE ON names
    BEGIN DELETE FROM bundle_names WHERE name = new.name; END;
CREATE TRIGGER IF NOT EXISTS name_gone AFTER DELETE ON names
    BEGIN DELETE FROM bundle_names WHERE name = old.name; END;
PRAGMA user_version = 3;
"""


class Database:
    """``images.db`` of one store."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.path = os.path.join(root, "images.db")

    @contexts.contextmanager
    def read(self) -> Iterator[sqlite.Connection]:
        """One consistent view. An absent database is an empty one."""
        if not os.path.exists(self.path):
            with contexts.closing(sqlite.connect(":memory:")) as empty:
                empty.executescript(_SCHEMA)
                yield empty
            return
        with contexts.closing(self._connect()) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contexts.contextmanager
    def write(self, *, lazy: bool = False) -> Iterator[sqlite.Connection]:
        """One change: all of it on disk when the block is left, nothing of it on an error.

        ``lazy``: on disk with the next change that is not, and in order.
        """
        os.makedirs(self._root, 0o700, exist_ok=True)
        with contexts.closing(self._connect()) as connection:
            if lazy:
                connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _connect(self) -> sqlite.Connection:
        connection = sqlite.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < _VERSION:
            sqlite.write_ahead(connection, BUSY_SECONDS)
            connection.executescript(_SCHEMA)
        return connection
