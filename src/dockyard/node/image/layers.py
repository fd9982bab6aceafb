"""Turns layers' tar streams into directories for overlayfs: ``layers/<chain hex>/fs``.

A layer unpacks on its own, beside others; it takes its place by rename, after its digests were
found right. Directories that an archive did not describe get owner, mode and attributes of the
layer below, as if it had been unpacked on top of it.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.base.linux.openat2 import open_in_root
from dockyard.base.oci.digest import Digest
from dockyard.node.image.compression import decompress
from dockyard.node.image.extract import extract
from dockyard.node.image.image import ContentMismatch
from dockyard.node.image.ingest import Ingest, sync_directory
from dockyard.node.image.pipeline import ahead
from dockyard.node.image.tarread import TarReader
from dockyard.node.image.tree import OPAQUE, Path, is_whiteout


class Staged(NamedTuple):
    """A layer unpacked into a temporary directory."""

    directory: str
    diff_id: Digest
    unpacked: int
    implied: tuple[Path, ...]


class Layers:
    """The unpacked layers of one store."""

    def __init__(self, root: str, ingest: Ingest) -> None:
        self._root = os.path.join(root, "layers")
        self._ingest = ingest

    def path(self, chain: Digest) -> str:
        """The directory for ``lowerdir``."""
        return os.path.join(self._root, chain.hex, "fs")

    def has(self, chain: Digest) -> bool:
        return os.path.isdir(self.path(chain))

    @contextlib.contextmanager
    def unpack(
        self, chunks: Iterable[bytes], expected: Digest | None, what: str
    ) -> Iterator[Staged]:
        """The layer in ``chunks`` (compressed or not) in a directory that goes unless adopted.

        Raises :class:`ContentMismatch` where the tar stream is not ``expected``.
        """
        algorithm = expected.algorithm if expected else "sha256"
        hasher = Digest(algorithm + ":").hasher()

        def hashed() -> Iterator[bytes]:
            with ahead(chunks) as packed:
                for chunk in decompress(packed, what):
                    hasher.update(chunk)
                    yield chunk

        with self._ingest.directory() as directory:
            target = os.path.join(directory, "fs")
            os.mkdir(target, 0o755)
            with ahead(hashed()) as plain:
                found = extract(TarReader(plain, what), target, what)
            diff_id = Digest(f"{algorithm}:{hasher.hexdigest()}")
            if expected and diff_id != expected:
                raise ContentMismatch(
                    f"{what}: unpacks to {diff_id}, its configuration promises {expected}; refused"
                )
            yield Staged(directory, diff_id, found.total, found.implied)

    def adopt(self, staged: Staged, chain: Digest, below: list[Digest]) -> None:
        """Give an unpacked layer its place. ``below``: chains under it, topmost first."""
        lowers = [self.path(lower) for lower in below]
        _inherit(os.path.join(staged.directory, "fs"), staged.implied, lowers)
        self.take(staged.directory, chain)

    def take(self, directory: str, chain: Digest) -> None:
        """Rename ``directory`` (with ``fs`` in it) into place; whoever came first stays."""
        os.makedirs(self._root, 0o700, exist_ok=True)
        target = os.path.join(self._root, chain.hex)
        try:
            os.rename(directory, target)
        except OSError:
            if not self.has(chain):
                raise
            shutil.rmtree(directory)
            return
        sync_directory(self._root)

    def lowers(self, chains: Iterable[Digest]) -> list[str]:
        """``lowerdir`` directories, topmost first. A root that is opaque ends the list: overlayfs
        itself does not look at that mark on a root."""
        found: list[str] = []
        for chain in reversed(list(chains)):
            path = self.path(chain)
            found.append(path)
            with contextlib.suppress(OSError):
                if os.getxattr(path, OPAQUE) == b"y":
                    break
        return found or [self._empty()]

    def all(self) -> Iterator[str]:
        """Hex names of what is unpacked."""
        if os.path.isdir(self._root):
            yield from (name for name in os.listdir(self._root) if name != "empty")

    def remove(self, name: str) -> None:
        """By rename first: a half-removed layer must not look like one."""
        with self._ingest.directory() as directory:
            os.rename(os.path.join(self._root, name), os.path.join(directory, "gone"))

    def _empty(self) -> str:
        path = os.path.join(self._root, "empty", "fs")
        os.makedirs(path, 0o755, exist_ok=True)
        return path


def _inherit(root: str, implied: tuple[Path, ...], lowers: list[str]) -> None:
    for path in implied:
        with contextlib.ExitStack() as stack:
            below = _find_lower(path, lowers, stack)
            if below is None:
                continue
            fd = _open(root, path, stack)
            found = os.fstat(below)
            os.fchown(fd, found.st_uid, found.st_gid)
            os.fchmod(fd, stat.S_IMODE(found.st_mode))
            for key in os.listxattr(below):
                if not key.startswith("trusted."):
                    os.setxattr(fd, key, os.getxattr(below, key))
            os.utime(fd, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _find_lower(path: Path, lowers: list[str], stack: contextlib.ExitStack) -> int | None:
    """The directory that ``path`` names in the layers below, unless one of them hides it."""
    for lower in lowers:
        root = _open(lower, (), stack)
        try:
            found = open_in_root(root, b"/".join(path), os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            if _hides(root, path):
                return None
            continue
        stack.callback(os.close, found)
        return found
    return None


def _hides(root: int, path: Path) -> bool:
    """Whether a whiteout or an opaque directory on the way ends the search."""
    at = os.dup(root)
    try:
        for name in path:
            if is_whiteout(at, name):
                return True
            with contextlib.suppress(OSError):
                if os.getxattr(at, OPAQUE) == b"y":
                    return True
            try:
                deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            except OSError:
                return False
            os.close(at)
            at = deeper
        return False
    finally:
        os.close(at)


def _open(root: str, path: Path, stack: contextlib.ExitStack) -> int:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    stack.callback(os.close, fd)
    if not path:
        return fd
    found = open_in_root(fd, b"/".join(path), os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, found)
    return found
