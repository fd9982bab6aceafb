"""Turns streams of bytes into files named by their digest, verified on the way in (B07).

Layout as in OCI image-layout: ``blobs/<algorithm>/<hex>``. A blob appears by rename, once its
size and digest are known to be right and its bytes are on disk.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest, digest_of, hash_document
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.image import ContentMismatch
from dockyard.node.image.ingest import Ingest, sync_directory
from dockyard.node.image.writeback import Writeback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Blobs:
    """The content of one store."""

    def __init__(self, root: str, ingest: Ingest) -> None:
        self._root = os.path.join(root, "blobs")
        self._ingest = ingest

    def path(self, digest: Digest) -> str:
        return os.path.join(self._root, digest.algorithm, digest.hex)

    def has(self, blob: Descriptor) -> bool:
        """Whether it is here, in full length; its bytes are verified when they are read."""
        try:
            return os.stat(self.path(blob.digest)).st_size == blob.size
        except FileNotFoundError:
            return False

    def read(self, digest: Digest) -> bytes:
        """A document's bytes; :class:`ContentMismatch` where the disk changed them (G06)."""
        try:
            with open(self.path(digest), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise ContentMismatch(
                f"blob: {digest}: is gone from the store; pull it again"
            ) from None
        if hash_document(digest.algorithm, data) != digest:
            raise ContentMismatch(f"blob: {digest}: is damaged on disk; pull its image again")
        return data

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """The blob's bytes; the last step raises :class:`ContentMismatch` if they are not it."""
        try:
            fd = os.open(self.path(blob.digest), os.O_RDONLY)
        except FileNotFoundError:
            raise ContentMismatch(
                f"blob: {blob.digest}: is gone from the store; pull it again"
            ) from None
        try:
            yield from verified(iter(lambda: os.read(fd, CHUNK), b""), blob)
        finally:
            os.close(fd)

    def put(self, data: bytes) -> Digest:
        """Store a small document."""
        digest = digest_of(data)
        for _ in self.keep([data], Descriptor("", digest, len(data))):
            pass
        return digest

    def store(self, digest: Digest, data: bytes) -> None:
        """A small document under the digest that it is known by; checked once more."""
        for _ in self.keep([data], Descriptor("", digest, len(data))):
            pass

    def keep(self, chunks: Iterable[bytes], blob: Descriptor) -> Iterator[bytes]:
        """Pass the chunks on, and have them in the store when they have all passed.

        Raises :class:`ContentMismatch` (and keeps nothing) where they are not ``blob``.
        """
        with self._ingest.file() as (path, fd):
            file = Writeback(fd)
            for chunk in verified(chunks, blob):
                file.write(chunk)
                yield chunk
            self._commit(path, fd, blob.digest)

    @contexts.contextmanager
    def writer(self) -> Iterator[Writer]:
        """For content whose digest nobody knows yet; kept only if committed."""
        with self._ingest.file() as (path, fd):
            yield Writer(fd, lambda digest: self._commit(path, fd, digest))

    def collect(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Store chunks: their SHA-256 and size."""
        with self.writer() as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit()

    def all(self) -> Iterator[Digest]:
        for algorithm in ("sha256", "sha512"):
            folder = os.path.join(self._root, algorithm)
            if os.path.isdir(folder):
                yield from (Digest(f"{algorithm}:{name}") for name in os.listdir(folder))

    def remove(self, digest: Digest) -> None:
        os.unlink(self.path(digest))

    def discard(self, digest: Digest) -> None:
        """Remove a damaged blob, so that it is fetched again; no error where it is gone."""
        with contexts.suppress(FileNotFoundError):
            self.remove(digest)

    def _commit(self, path: str, fd: int, digest: Digest) -> None:
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        target = self.path(digest)
        folder = os.path.dirname(target)
        os.makedirs(folder, 0o700, exist_ok=True)
        os.rename(path, target)
        sync_directory(folder)


class Writer:
    """A blob that grows."""

    def __init__(self, fd: int, commit: Callable[[Digest], None]) -> None:
        self._file = Writeback(fd)
        self._commit = commit
        self._hasher = Digest("sha256:").hasher()
        self._size = 0

    def write(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        self._size += len(chunk)
        self._file.write(chunk)

    def commit(self) -> tuple[Digest, int]:
        """In the store: digest and size."""
        digest = Digest("sha256:" + self._hasher.hexdigest())
        self._commit(digest)
        return digest, self._size


def verified(chunks: Iterable[bytes], blob: Descriptor) -> Iterator[bytes]:
    """The same chunks; :class:`ContentMismatch` as soon as they can't be ``blob`` any more."""
    hasher = blob.digest.hasher()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > blob.size:
            raise ContentMismatch(
                f"blob: {blob.digest}: longer than the {blob.size} bytes promised"
            )
        hasher.update(chunk)
        yield chunk
    if size != blob.size:
        raise ContentMismatch(f"blob: {blob.digest}: {size} bytes of {blob.size} promised")
    if hasher.hexdigest() != blob.digest.hex:
        found = f"{blob.digest.algorithm}:{hasher.hexdigest()}"
        raise ContentMismatch(f"blob: {blob.digest}: the bytes received are {found}; refused")
