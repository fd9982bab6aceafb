"""Turns an image archive (a tar) into documents that can be looked up and blobs that can be read.

Plain files at the top of a tar, read in place: nothing is unpacked. Compressed archives, and
those from a pipe, go into a temporary file first.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import Invalid, NotFound, Unsupported
from dockyard.node.image import tarread
from dockyard.node.image.chunks import CHUNK, gathered
from dockyard.node.image.compression import decompress
from dockyard.node.image.ingest import Ingest
from dockyard.node.image.tarread import TarReader

_MOST_FILES = 20_000


class Member(NamedTuple):
    """Where a file lies in the archive."""

    offset: int
    size: int


class Archive:
    """The files of an archive, by name. Symbolic links in it (docker save makes some) resolve
    to names of the same archive only."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self.what = what
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        reader = TarReader(_plain(fd), what)
        for entry in reader:
            if len(self._members) + len(self._links) > _MOST_FILES:
                raise Invalid(f"{what}: more than {_MOST_FILES} files: not an image archive")
            if entry.sparse is not None:
                raise Unsupported(f"{what}: {entry.name}: a sparse file in an image archive")
            if entry.kind == tarread.FILE:
                self._members[entry.name] = Member(reader.position, entry.size)
            elif entry.kind in (tarread.SYMLINK, tarread.HARDLINK):
                folder = "" if entry.kind == tarread.HARDLINK else os.path.dirname(entry.name)
                target = os.path.normpath(os.path.join(folder, os.fsdecode(entry.link)))
                self._links[entry.name] = target

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def read(self, name: str, limit: int) -> bytes:
        """A document; its size is checked before a byte of it is read (B10)."""
        member = self._member(name)
        if member.size > limit:
            raise Invalid(f"{self.what}: {name}: {member.size} bytes; at most {limit} are accepted")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's bytes."""
        at, left = self._member(name)
        while left > 0:
            chunk = os.pread(self._fd, min(CHUNK, left), at)
            if not chunk:
                raise Invalid(f"{self.what}: {name}: is cut off")
            at, left = at + len(chunk), left - len(chunk)
            yield chunk

    def size(self, name: str) -> int:
        return self._member(name).size

    def _member(self, name: str) -> Member:
        member = self._find(name)
        if member is None:
            raise NotFound(f"{self.what}: {name}: is not in the archive")
        return member

    def _find(self, name: str) -> Member | None:
        return self._members.get(self._links.get(name, name))


@contextlib.contextmanager
def open_archive(path: str, ingest: Ingest) -> Iterator[Archive]:
    """The archive at ``path``, compressed or not, or the layout in that folder."""
    what = f"archive {path}"
    with contextlib.ExitStack() as stack:
        if os.path.isdir(path):
            from dockyard.node.image.layout import Layout

            root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, root)
            yield Layout(root, f"layout {path}")
            return
        try:
            file = stack.enter_context(open(path, "rb"))
        except (FileNotFoundError, IsADirectoryError) as error:
            raise NotFound(f"{what}: {error.strerror}") from error
        if file.seekable():
            if file.read(512)[257:262] == b"ustar":
                yield Archive(file.fileno(), what)
                return
            file.seek(0)
        _, fd = stack.enter_context(ingest.file())
        for chunk in gathered(decompress(iter(lambda: file.read(CHUNK), b""), what)):
            os.write(fd, chunk)
        yield Archive(fd, what)


def _plain(fd: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(fd, CHUNK, at):
        at += len(chunk)
        yield chunk
