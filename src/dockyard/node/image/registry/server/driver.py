"""What a registry's storage has to be able to do: few operations on paths, all of them blocking.

A path is text of checked names joined by ``/``. After ``write``, ``publish``, ``mark`` and
``remove`` return, the change outlives a power cut; a reader sees the old or the new whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """A name in a folder."""

    name: str
    is_folder: bool


class Driver(Protocol):
    """Where bytes are kept. ``FileNotFoundError`` where nothing is, ``OSError`` for the rest."""

    def read(self, path: str) -> bytes:
        """The whole of a small file."""

    def open(self, path: str) -> int:
        """A descriptor to read from; the caller closes it."""

    def size(self, path: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def modified(self, path: str) -> float:
        """When a file was last changed or touched, in seconds since the epoch."""

    def touch(self, path: str, when: float) -> None:
        """It was used then."""

    def list(self, folder: str) -> Iterator[Entry]:
        """What is in a folder, in no order; nothing where there is none."""

    def write(self, path: str, data: bytes) -> None:
        """A whole small file, new or in the place of another."""

    def mark(self, path: str) -> None:
        """An empty file; no change where there is one."""

    def create(self, path: str) -> None:
        """An empty file that grows by :meth:`append`."""

    def append(self, path: str, data: bytes, at: int) -> None:
        """Bytes at an offset: the end of what is there."""

    def truncate(self, path: str, size: int) -> None:
        """Cut what was appended behind an offset."""

    def sync(self, path: str) -> None:
        """What was appended outlives a power cut, though nobody finds it yet."""

    def publish(self, path: str, target: str) -> None:
        """What was appended becomes another, whole file."""

    def remove(self, path: str) -> bool:
        """False where there was nothing."""

    def prune(self, folder: str) -> None:
        """Remove a folder, and those above it, as far as they are empty."""
