"""What every store promises: keys and bytes, one counter of revisions, and watches without gaps.

A **revision** counts the changes of the whole store, from 1. An answer is never older than a write
that was acknowledged before it was asked for. The contract suite in tests/contracts holds every
backend to this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from dockyard.base import errors


class Entry(NamedTuple):
    """A value and when it came to be."""

    key: str
    value: bytes
    created: int
    """Revision at which the key came to be (it is another one after a delete and a create)."""
    modified: int
    """Revision of this value."""


class Event(NamedTuple):
    """One change. Of a delete, ``entry`` has the last value and the revision of the delete."""

    deleted: bool
    entry: Entry
    previous: Entry | None
    """What was there before; None for a create."""


class Page(NamedTuple):
    """A part of a list, in the order of the keys."""

    entries: list[Entry]
    revision: int
    """The list is the store's at this revision; ask for the next part at the same one."""
    more: bool
    remaining: int
    """How many come after this page."""


class KeyConflict(errors.Conflict):
    """The key is not at the revision that the writer expected."""

    def __init__(self, key: str, current: Entry | None) -> None:
        state = "is not there" if current is None else f"is at revision {current.modified}"
        super().__init__(f"store: {key}: {state}")
        self.key, self.current = key, current


class Compacted(errors.DockyardError):
    """That revision is forgotten; ``oldest`` is the first that is still known."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"store: revision {revision}: compacted; the oldest is {oldest}")
        self.revision, self.oldest = revision, oldest


class FutureRevision(errors.DockyardError):
    """That revision has not happened yet."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"store: revision {revision}: the current one is {current}")
        self.revision, self.current = revision, current


class SlowWatcher(errors.Unavailable):
    """The reader of a watch fell too far behind; it lists again and watches from there."""


Events = list[Event]


class Watch(Protocol):
    """Changes in their order, none left out, in batches of what had happened meanwhile.

    An empty batch is progress: everything up to :attr:`revision` has been delivered.
    """

    @property
    def revision(self) -> int:
        """Up to where changes have been delivered."""

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        """Raises :class:`SlowWatcher` or :class:`Compacted` where it cannot go on."""

    def close(self) -> None: ...


class Store(Protocol):
    """Keys and bytes with revisions. Prefixes are plain: ``/pods/`` is good, ``/pods`` is not.

    One event loop; every method may be called by many tasks at once.
    """

    async def get(self, key: str, revision: int = 0) -> Entry | None:
        """The value, now or as it was. Raises Compacted, FutureRevision."""

    async def list(
        self, prefix: str, *, revision: int = 0, limit: int = 0, after: str = ""
    ) -> Page:
        """Values below a prefix, after a key, now or as they were; ``limit`` 0 is no limit."""

    async def count(self, prefix: str) -> int:
        """How many keys are below a prefix now."""

    async def create(self, key: str, value: bytes, *, ttl: float = 0.0) -> int:
        """A new key; its revision. Raises KeyConflict.

        Gone again ``ttl`` seconds (0: never) after its last write, by a delete that watches see.
        """

    async def update(self, key: str, value: bytes, expected: int, *, ttl: float = 0.0) -> int:
        """Another value for a key that is at the revision expected. Raises KeyConflict."""

    async def delete(self, key: str, expected: int = 0) -> Entry:
        """Remove a key (0: at whatever revision); the last value, at the delete's revision."""

    def watch(self, prefix: str, revision: int) -> Watch:
        """Every change below a prefix after a revision."""

    def progress(self) -> None:
        """Have every watch told up to where it knows everything."""

    def revision(self) -> int:
        """Of the last change that was acknowledged."""

    async def compact(self, revision: int) -> None:
        """Forget what was before; current values stay. Raises Compacted, FutureRevision."""

    async def snapshot(self, path: str) -> int:
        """Write the whole store into a file that the backend's ``restore`` takes; its revision."""

    async def close(self) -> None:
        """End watches, finish writes, let go of files."""
