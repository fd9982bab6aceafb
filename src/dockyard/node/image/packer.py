"""Turns files, by descriptors, into the blocks of a tar stream; no link is followed.

Unlike an image's layer this is the tree as it is: names like ``.wh.x`` are names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from dockyard.node.image import tarread
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.pack import described, entry_of
from dockyard.node.image.tarwrite import tar_entry

Path = tuple[bytes, ...]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Packer:
    """One stream: it knows which files it has seen, so that hard links stay such."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], bytes] = {}

    def tree(self, parent: int, name: bytes, path: Path) -> Iterator[bytes]:
        """A file, or a folder and all that is in it, under another path."""
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            yield from self.leaf(parent, name, found, path)
            return
        folder = os.open(name, FOLDER, dir_fd=parent)
        try:
            yield from self.inside(folder, path)
        finally:
            os.close(folder)

    def inside(self, folder: int, path: Path) -> Iterator[bytes]:
        """A folder that is open, and all that is in it."""
        yield from self.folder(folder, path)
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            yield from self.tree(folder, name, (*path, name))

    def folder(self, folder: int, path: Path) -> Iterator[bytes]:
        """A folder alone."""
        yield from tar_entry(described(folder, os.fstat(folder), path))

    def leaf(self, parent: int, name: bytes, found: os.stat_result, path: Path) -> Iterator[bytes]:
        """Anything that is no folder. Sockets have no place in a tar and are left out."""
        if stat.S_ISSOCK(found.st_mode):
            return
        if found.st_nlink > 1:
            first = self._seen.setdefault((found.st_dev, found.st_ino), b"/".join(path))
            if first != b"/".join(path):
                link = entry_of(found, path, first, ())
                yield from tar_entry(link._replace(kind=tarread.HARDLINK, size=0))
                return
        if not stat.S_ISREG(found.st_mode):
            target = os.readlink(name, dir_fd=parent) if stat.S_ISLNK(found.st_mode) else b""
            yield from tar_entry(entry_of(found, path, target, ()))
            return
        file = os.open(name, FILE, dir_fd=parent)
        try:
            now = os.fstat(file)
            if stat.S_ISREG(now.st_mode):  # it may have been swapped for something else meanwhile
                yield from tar_entry(described(file, now, path), lambda: _data(
                    file, now.st_size))  # fmt: skip
        finally:
            os.close(file)


def _data(file: int, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes: a file that grows is cut off, one that shrinks is filled up."""
    while size > 0:
        chunk = os.read(file, min(CHUNK, size)) or bytes(min(CHUNK, size))
        size -= len(chunk)
        yield chunk
