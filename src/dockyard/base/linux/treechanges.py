"""Turns an upper directory and the layers below it into a list of what it changes.

An overlay's upper directory has the changes alone. A root that was copied has everything: there
each name is held against the layers'.
"""

from __future__ import annotations

import os
import stat

from dockyard.base.linux import attributes, mergedtree, whiteouts
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


ADDED, CHANGED, DELETED = "A", "C", "D"
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


class Change(NamedTuple):
    """One path of the tree."""

    kind: str
    """``A``, ``C`` or ``D``."""
    path: str


def changes(
    upper: str, layers: Sequence[str], *, whole: bool = False, ours: frozenset[str] = frozenset()
) -> list[Change]:
    """Each folder before what is in it. ``layers`` topmost first; ``whole``: ``upper`` is a copy
    of them all. ``ours``: paths that are nobody's change if they are folders or empty files."""
    top = os.open(upper, mergedtree.FOLDER)
    try:
        with mergedtree.opened(layers) as below:
            walk = _Walk(whole, ours)
            found = [*walk.folder(top, below, "")]
            if whole and below and walk.differs(os.fstat(top), os.fstat(below[0]), times=False):
                found.insert(0, Change(CHANGED, "/"))
            return found
    finally:
        os.close(top)


class _Walk:
    def __init__(self, whole: bool, ours: frozenset[str]) -> None:
        self._whole, self._ours = whole, ours

    def folder(
        self, upper: int, below: tuple[int, ...], path: str, hiding: bool = False
    ) -> Iterator[Change]:
        """``hiding``: what lies below is not seen here, for a folder above hides it."""
        here = set(os.listdir(upper))
        hiding = self._whole or hiding or whiteouts.is_opaque(upper)
        for name, marked in sorted(self._shown(upper, here)):
            inner = f"{path}/{name}"
            if marked:
                yield Change(DELETED, inner)
                continue
            found = os.stat(name, dir_fd=upper, follow_symlinks=False)
            before = mergedtree.find(below, name)
            if not self._whole and whiteouts.is_device(found):
                yield Change(DELETED, inner)
            elif stat.S_ISDIR(found.st_mode):
                yield from self._subfolder(upper, below, found, before, inner, hiding)
            elif inner in self._ours and stat.S_ISREG(found.st_mode) and not found.st_size:
                continue
            elif not (self._whole and before and self._same(upper, found, before)):
                yield Change(CHANGED if before else ADDED, inner)
        if below and hiding:
            for name in mergedtree.names(below):
                if name not in here and mergedtree.find(below, name):
                    yield Change(DELETED, f"{path}/{name}")

    def _shown(self, upper: int, here: set[str]) -> Iterator[tuple[str, bool]]:
        """Names, and whether each is only hidden by a mark of another name."""
        for name in here:
            if self._whole or not whiteouts.is_mark(upper, name):
                yield name, False
            elif (hidden := whiteouts.hidden_by(name)) and hidden not in here:
                yield hidden, True

    def _subfolder(
        self,
        upper: int,
        below: tuple[int, ...],
        found: os.stat_result,
        before: mergedtree.Found | None,
        path: str,
        hiding: bool,
    ) -> Iterator[Change]:
        name = os.path.basename(path)
        child = os.open(name, mergedtree.FOLDER, dir_fd=upper)
        try:
            with mergedtree.enter(below, name) as inner_layers:
                inner = [*self.folder(child, inner_layers, path, hiding)]
                ours_only = not inner and bool(os.listdir(child))
                if self._whole and ours_only:
                    ours_only = any(f"{path}/{each}" in self._ours for each in os.listdir(child))
                same = not self._whole or not inner_layers or (
                    attributes.of(child) == attributes.of(inner_layers[0]))  # fmt: skip
        finally:
            os.close(child)
        if before is None or not stat.S_ISDIR(before.stat.st_mode):
            if inner or path not in self._ours:
                yield Change(CHANGED if before else ADDED, path)
        elif inner or not same or self.differs(found, before.stat, times=not ours_only):
            yield Change(CHANGED, path)
        yield from inner

    def differs(self, found: os.stat_result, before: os.stat_result, *, times: bool) -> bool:
        """Whether a folder that was copied up is another than before."""
        return (
            (found.st_mode, found.st_uid, found.st_gid)
            != (before.st_mode, before.st_uid, before.st_gid)
            or (times and found.st_mtime_ns != before.st_mtime_ns)
        )  # fmt: skip

    def _same(self, upper: int, found: os.stat_result, before: mergedtree.Found) -> bool:
        """Of what is no folder: metadata first, then every byte."""
        if _described(found) != _described(before.stat):
            return False
        if stat.S_ISLNK(found.st_mode):
            link = os.readlink(before.name, dir_fd=upper)
            return link == os.readlink(before.name, dir_fd=before.folder)
        if not stat.S_ISREG(found.st_mode):
            return True
        one = os.open(before.name, _FILE, dir_fd=upper)
        try:
            two = os.open(before.name, _FILE, dir_fd=before.folder)
            try:
                return attributes.of(one) == attributes.of(two) and _same_bytes(one, two)
            finally:
                os.close(two)
        finally:
            os.close(one)


def _described(found: os.stat_result) -> tuple[int, ...]:
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return (found.st_mode, found.st_uid, found.st_gid, found.st_rdev, size, found.st_mtime_ns)


def _same_bytes(one: int, two: int) -> bool:
    while (data := os.read(one, _CHUNK)) == os.read(two, _CHUNK):
        if not data:
            return True
    return False
