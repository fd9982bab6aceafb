"""Turns layers' tar streams into directories for overlayfs: ``layers/<chain hex>/fs``.

A layer unpacks on its own, beside others; it takes its place by rename, after its digests were
found right. Directories that an archive did not describe get owner, mode and attributes of the
layer below, as if it had been unpacked on top of it.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.linux import whiteouts
from dockyard.base.oci.digest import Digest
from dockyard.base.typed import NamedTuple
from dockyard.node.image.image import ContentMismatch
from dockyard.node.image.ingest import Ingest, sync_directory
from dockyard.node.image.overlayform import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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

    @contexts.contextmanager
    def unpack(
        self, chunks: Iterable[bytes], expected: Digest | None, what: str
    ) -> Iterator[Staged]:
        """The layer in ``chunks`` (compressed or not) in a directory that goes unless adopted.

        Raises :class:`ContentMismatch` where the tar stream is not ``expected``.
        """
        from dockyard.node.image.compression import decompress
        from dockyard.node.image.extract import extract
        from dockyard.node.image.pipeline import ahead
        from dockyard.node.image.tarread import TarReader

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
        from dockyard.node.image.inherit import inherit

        lowers = [self.path(lower) for lower in below]
        inherit(os.path.join(staged.directory, "fs"), staged.implied, lowers)
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
            return  # the caller removes what is left of its own
        sync_directory(self._root)

    def lowers(self, chains: Iterable[Digest]) -> list[str]:
        """``lowerdir`` directories, topmost first. A root that is opaque ends the list: overlayfs
        itself does not look at that mark on a root."""
        found: list[str] = []
        for chain in reversed(list(chains)):
            path = self.path(chain)
            found.append(path)
            if _is_opaque(path):
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


def _is_opaque(path: str) -> bool:
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return whiteouts.is_opaque(root)
    finally:
        os.close(root)
