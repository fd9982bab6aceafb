"""Turns paths and what was seen at them into the tree that a container would see.

Only what is worth a mark is kept. Whiteouts take away what is below their own layer (OCI
image-spec, layer.md), a file in a directory's place takes what was in it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import Corrupt

MOST = 200_000
_MOST_NODES = 1_000_000
"""Folders on the way to what is marked."""

Path = tuple[bytes, ...]


class Mark(NamedTuple):
    """What is at one path."""

    layer: int
    kinds: tuple[tuple[str, str], ...] = ()
    """(kind, detail)."""
    document: bytes | None = None
    """The content of a file that is read as a whole."""


class _Node:
    __slots__ = ("below", "mark")

    def __init__(self) -> None:
        self.mark: Mark | None = None
        self.below: dict[bytes, _Node] = {}


class Marks:
    """The marks of all layers so far."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._top = _Node()
        self._count = self._nodes = 0

    def put(self, path: Path, mark: Mark) -> None:
        self._count += 1
        if self._count > MOST:
            raise Corrupt(f"{self._what}: more than {MOST} files to remark on; refused")
        node = self._top
        for part in path:
            inner = node.below.get(part)
            if inner is None:
                inner = node.below[part] = _Node()
                self._nodes += 1
            node = inner
        if self._nodes > _MOST_NODES:
            raise Corrupt(f"{self._what}: more than {_MOST_NODES} folders to remark on; refused")
        node.mark = mark

    def knows(self, path: Path) -> bool:
        """Whether something is marked there, or below."""
        return self._find(path) is not None

    def get(self, path: Path) -> Mark | None:
        node = self._find(path)
        return node.mark if node else None

    def replace(self, path: Path, *, directory: bool) -> None:
        """Something new is at this path; of a directory, what is in it stays."""
        node = self._find(path)
        if node is not None:
            node.mark = None
            if not directory:
                node.below.clear()

    def whiteout(self, path: Path, layer: int, *, itself: bool) -> None:
        """Take away what lies there and below in layers under ``layer``."""
        node = self._find(path)
        if node is None:
            return
        waiting = list(node.below.values()) + ([node] if itself else [])
        while waiting:
            found = waiting.pop()
            if found.mark is not None and found.mark.layer < layer:
                found.mark = None
            if found is not node:
                waiting.extend(found.below.values())

    def all(self) -> Iterator[tuple[Path, Mark]]:
        """Sorted by path."""
        waiting: list[tuple[Path, _Node]] = [((), self._top)]
        while waiting:
            path, node = waiting.pop()
            if node.mark is not None:
                yield path, node.mark
            waiting.extend(
                ((*path, part), node.below[part]) for part in sorted(node.below, reverse=True)
            )

    def _find(self, path: Path) -> _Node | None:
        node: _Node | None = self._top
        for part in path:
            node = node.below.get(part) if node else None
        return node
