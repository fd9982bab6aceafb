"""Turns a path of a container into a tar stream, and a tar stream into files below one.

As Docker's ``/containers/{id}/archive``: what is read begins with the path's last component.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.base.errors import Invalid, NotFound
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.engine import identity, refresh, roots
from dockyard.node.engine.archive import inside, root
from dockyard.node.engine.archive.unpack import unpack
from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts
from dockyard.node.image.packer import Packer
from dockyard.node.image.tarread import TarReader
from dockyard.node.image.tarwrite import END

OF_ROOT = (0, 0)
"""An ordinary user's own number means nothing in the container."""


class PathStat(NamedTuple):
    """What lies at a path."""

    name: str
    mode: int
    size: int
    mtime: float
    link: str
    """Where a symbolic link leads; empty for what is none."""

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


def look(parts: Parts, reference: str, path: str) -> PathStat:
    """What a container has at a path; a link is not followed, unless a slash comes after it."""
    container = refresh.find(parts, reference)
    with root.opened(parts, container, path, write=False) as place:
        return _look(place, container, path)


def _look(place: root.Place, container: Container, path: str) -> PathStat:
    descriptor = _open(place, container, path)
    try:
        found = os.fstat(descriptor)
        link = os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(found.st_mode) else ""
    finally:
        os.close(descriptor)
    name = posixpath.basename(posixpath.normpath(path)) or "/"
    return PathStat(name, found.st_mode, found.st_size, found.st_mtime, link)


def _open(place: root.Place, container: Container, path: str) -> int:
    """Whatever lies there, unopened."""
    inner = place.path.lstrip("/")
    follows = inner.endswith(("/", "/.")) or inner in ("", ".")
    flags = os.O_PATH | (0 if follows else os.O_NOFOLLOW)
    try:
        return open_in_root(place.root, inner or ".", flags)
    except FileNotFoundError:
        raise NotFound(f"Could not find the file {path} in container {container.name}") from None
    except OSError as error:
        raise Invalid(f"{path}: {os.strerror(error.errno or 0).lower()}") from error


def read(parts: Parts, reference: str, path: str) -> Iterator[bytes]:
    """The tar stream of a path; ``folder/.`` is what is in the folder, under ``.``."""
    container = refresh.find(parts, reference)
    with root.opened(parts, container, path, write=False) as place:
        found = _look(place, container, path)
        parts.tell(container, "archive-path")
        if inside.is_needed(container):
            parts.database.rest()  # no connection crosses a fork
            at = place.path
            yield from inside.read(
                container, lambda there: _read(root.Place(there, at), found, path)
            )
        else:
            yield from _read(place, found, path)
    yield END


def _read(place: root.Place, found: PathStat, path: str) -> Iterator[bytes]:
    whole = path.endswith("/.") or found.name in ("/", ".")
    name = (b".",) if whole else (os.fsencode(found.name),)
    if found.is_folder:
        folder = open_in_root(place.root, place.path or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield from Packer().inside(folder, name)
        finally:
            os.close(folder)
        return
    above, _, last = place.path.rstrip("/").rpartition("/")
    parent = open_in_root(place.root, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from Packer().tree(parent, os.fsencode(last), name)
    finally:
        os.close(parent)


def write(
    parts: Parts,
    reference: str,
    path: str,
    chunks: Iterable[bytes],
    *,
    rename: tuple[bytes, bytes] | None = None,
    archive: bool = False,
) -> int:
    """Lay a tar stream below a folder of a container; bytes of files.

    ``archive``: the files are those of the user that the container runs as.
    """
    container = refresh.find(parts, reference)
    owner = _owner(parts, container) if archive and container.config.user else None
    with root.opened(parts, container, path, write=True) as place:
        folder = place._replace(path=f"{place.path.rstrip('/')}/")
        if not _look(folder, container, path).is_folder:
            raise Invalid(f"{path}: not a directory")
        at = os.fsencode(place.path)
        if inside.is_needed(container):
            size = _write_inside(parts, container, chunks, at, rename, owner or OF_ROOT)
        else:
            reader = TarReader(chunks, "cp")
            size = unpack(reader, place.root, at, rename=rename, owner=owner)
    parts.tell(container, "extract-to-dir")
    return size


def _write_inside(
    parts: Parts,
    container: Container,
    chunks: Iterable[bytes],
    at: bytes,
    rename: tuple[bytes, bytes] | None,
    owner: tuple[int, int],
) -> int:
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            size += len(chunk)
            yield chunk

    def work(there: int, pieces: Iterator[bytes]) -> None:
        unpack(TarReader(pieces, "cp"), there, at, rename=rename, owner=owner)

    parts.database.rest()  # no connection crosses a fork
    inside.write(container, counted(), work)
    return size


def _owner(parts: Parts, container: Container) -> tuple[int, int]:
    stack = roots.stack_of(parts, container)
    user = identity.at_start(container.config.user, stack.upper, stack.lower)
    return user.uid, user.gid
