"""Turns pieces that come over several requests into a blob: upload sessions.

A session outlives this process: what has come is on the disk, and only its hash is computed anew.
Nobody but its repository's name and identifier finds it; one request at a time writes to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import uuid
from typing import Any, NamedTuple

import orjson

from dockyard.base.oci.digest import Digest
from dockyard.node.image.registry.server import places
from dockyard.node.image.registry.server.names import Repository
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.server.store import Store

EXPIRY_SECONDS = 24 * 3600.0
MOST_SESSIONS = 10_000
_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REREAD = 1024 * 1024


class Mark(NamedTuple):
    """A point that a session can go back to."""

    size: int
    algorithm: str
    hasher: Any


class Session:
    """One upload. Its methods block; who calls them has :attr:`busy` set."""

    def __init__(
        self, store: Store, name: Repository, identifier: str, algorithm: str, size: int
    ) -> None:
        self.name, self.identifier, self.size = name, identifier, size
        self.path = places.upload(identifier)
        self.busy = False
        """A request writes to it."""
        self.touched = store.now()
        self._store, self._algorithm = store, algorithm
        self._hasher = None if size else hashlib.new(algorithm)

    def append(self, data: bytes) -> None:
        """Bytes at the end. Where that fails, what was there before stays."""
        try:
            self._store.driver.append(self.path, data, self.size)
        except OSError:
            with contextlib.suppress(OSError):
                self._store.driver.truncate(self.path, self.size)
            raise
        if self._hasher is not None:
            self._hasher.update(data)
        self.size += len(data)
        self.touched = self._store.now()

    def mark(self) -> Mark:
        hasher = None if self._hasher is None else self._hasher.copy()
        return Mark(self.size, self._algorithm, hasher)

    def go_back(self, mark: Mark) -> None:
        """Forget what came after a mark."""
        self._store.driver.truncate(self.path, mark.size)
        self.size, self._algorithm, self._hasher = mark

    def digest(self, algorithm: str) -> Digest:
        """Of all that has come."""
        if self._hasher is None or self._algorithm != algorithm:
            self._hasher, self._algorithm = self._reread(algorithm), algorithm
        return Digest(f"{algorithm}:{self._hasher.hexdigest()}")

    def _reread(self, algorithm: str) -> Any:
        hasher = hashlib.new(algorithm)
        file = self._store.driver.open(self.path)
        with open(file, "rb", buffering=0) as data:
            while piece := data.read(_REREAD):
                hasher.update(piece)
        return hasher


class Uploads:
    """All sessions of a registry."""

    def __init__(
        self, store: Store, expiry: float = EXPIRY_SECONDS, most: int = MOST_SESSIONS
    ) -> None:
        self._store, self._expiry, self._most = store, expiry, most
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}
        self._count = sum(item.name.endswith(".json") for item in store.driver.list(places.UPLOADS))

    @property
    def count(self) -> int:
        """Sessions that are open."""
        return self._count

    def start(self, name: Repository, algorithm: str = "sha256") -> Session:
        """A new one; 429 where there are too many already."""
        with self._lock:
            if self._count >= self._most:
                raise Refusal("TOOMANYREQUESTS", f"{self._count} uploads are open; finish some")
            self._count += 1
        identifier = str(uuid.uuid4())
        driver = self._store.driver
        try:
            driver.create(places.upload(identifier))
            driver.write(
                places.session(identifier), orjson.dumps({"name": name, "algorithm": algorithm})
            )
        except BaseException:
            self._count -= 1
            with contextlib.suppress(OSError):
                driver.remove(places.upload(identifier))
            raise
        session = Session(self._store, name, identifier, algorithm, 0)
        self._sessions[identifier] = session
        return session

    def find(self, name: Repository, identifier: str) -> Session:
        """A session of this repository: another's is as unknown as one that never was."""
        with self._lock:
            session = self._sessions.get(identifier) or self._load(identifier)
            if session is None or session.name != name:
                raise Refusal("BLOB_UPLOAD_UNKNOWN", detail={"uuid": identifier[:80]})
            self._sessions[identifier] = session
            session.touched = self._store.now()
            return session

    def _load(self, identifier: str) -> Session | None:
        if _IDENTIFIER.fullmatch(identifier) is None:
            return None
        driver = self._store.driver
        try:
            about = orjson.loads(driver.read(places.session(identifier)))
            size = driver.size(places.upload(identifier))
        except FileNotFoundError:
            return None
        if size is None:
            return None
        session = Session(
            self._store, Repository(about["name"]), identifier, about["algorithm"], size
        )
        session.touched = self._store.now() - self._store.age(places.upload(identifier))
        return session

    def finish(self, session: Session, digest: Digest) -> None:
        """What has come becomes a blob; where it is not what was promised, the session stays."""
        found = session.digest(digest.algorithm)
        if found != digest:
            raise Refusal("DIGEST_INVALID", detail={"digest": digest, "found": found})
        self._store.adopt(session.name, digest, session.path, session.size)
        self._forget(session)

    def cancel(self, session: Session) -> None:
        """Nothing of it stays."""
        self._forget(session)

    def _forget(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.identifier, None)
            if self._store.driver.remove(places.session(session.identifier)):
                self._count -= 1
            self._store.driver.remove(session.path)

    def expire(self) -> int:
        """End sessions that nobody has written to for long; how many those were."""
        driver, ended = self._store.driver, 0
        for item in list(driver.list(places.UPLOADS)):
            identifier = item.name.removesuffix(".json")
            with self._lock:
                session = self._sessions.get(identifier) or self._load(identifier)
                if session is None:
                    self._clear(f"{places.UPLOADS}/{item.name}")
                elif not session.busy and self._store.now() - session.touched > self._expiry:
                    self._forget(session)
                    ended += 1
        return ended

    def _clear(self, path: str) -> None:
        """Half of a session that a killed server began or ended."""
        with contextlib.suppress(FileNotFoundError):
            if self._store.age(path) > self._expiry:
                self._store.driver.remove(path)
