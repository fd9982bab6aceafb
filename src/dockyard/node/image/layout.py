"""Turns a folder that is an OCI layout into documents and blobs, as an archive of it would be."""

import os
from collections.abc import Iterator

from dockyard.base.errors import Invalid, NotFound
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.image.archive import Archive
from dockyard.node.image.chunks import CHUNK


class Layout(Archive):
    """The files below a folder. Links in it lead to names of the same folder only."""

    def __init__(self, root: int, what: str) -> None:
        self._root = root
        self.what = what

    def has(self, name: str) -> bool:
        try:
            os.close(self._open(name))
        except (NotFound, Invalid):
            return False
        return True

    def read(self, name: str, limit: int) -> bytes:
        if (size := self.size(name)) > limit:
            raise Invalid(f"{self.what}: {name}: {size} bytes; at most {limit} are accepted")
        return b"".join(self.chunks(name))[: limit + 1]

    def chunks(self, name: str) -> Iterator[bytes]:
        fd = self._open(name)
        try:
            while chunk := os.read(fd, CHUNK):
                yield chunk
        finally:
            os.close(fd)

    def size(self, name: str) -> int:
        fd = self._open(name)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _open(self, name: str) -> int:
        """A regular file's descriptor: whoever laid a fifo there does not make us wait."""
        try:
            fd = open_in_root(self._root, name.encode(), os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise NotFound(f"{self.what}: {name}: {error.strerror}") from error
        if not os.path.isfile(f"/proc/self/fd/{fd}"):
            os.close(fd)
            raise Invalid(f"{self.what}: {name}: is no file")
        return fd
