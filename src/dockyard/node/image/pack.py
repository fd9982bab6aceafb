"""Turns a directory into the tar stream of a layer: the reverse of :mod:`extract`.

Entries are sorted and carry no user names, so the same tree always gives the same bytes.
overlayfs' whiteouts and opaque marks become the layer format's (OCI image-spec, layer.md).
"""

import os
import stat
from collections.abc import Iterator

from dockyard.base.linux import attributes, whiteouts
from dockyard.node.image import tarread
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.extract import OPAQUE_MARK, WHITEOUT
from dockyard.node.image.overlayform import Path
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry

_KINDS = {
    stat.S_IFREG: tarread.FILE,
    stat.S_IFLNK: tarread.SYMLINK,
    stat.S_IFCHR: tarread.CHAR,
    stat.S_IFBLK: tarread.BLOCKDEV,
    stat.S_IFDIR: tarread.DIRECTORY,
    stat.S_IFIFO: tarread.FIFO,
}


def pack(root: str) -> Iterator[bytes]:
    """The layer in directory ``root``; sockets have no place in one and are left out."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield from pack_open(fd)
    finally:
        os.close(fd)


def pack_open(fd: int) -> Iterator[bytes]:
    """As :func:`pack`, of an open directory."""
    yield from _directory(fd, (), {})
    yield END


def _directory(fd: int, path: Path, seen: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    """``seen``: (device, inode) of files with several names -> the first of them."""
    if path:
        yield from tar_entry(described(fd, os.fstat(fd), path))
    if whiteouts.is_opaque(fd):
        yield from tar_entry(_mark((*path, OPAQUE_MARK)))
    for name, marked in _names(fd):
        if marked:
            yield from tar_entry(_mark((*path, WHITEOUT + name)))
            continue
        found = os.lstat(name, dir_fd=fd)
        inner = (*path, name)
        if stat.S_ISDIR(found.st_mode):
            child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            try:
                yield from _directory(child, inner, seen)
            finally:
                os.close(child)
        elif whiteouts.is_device(found):
            yield from tar_entry(_mark((*path, WHITEOUT + name)))
        elif not stat.S_ISSOCK(found.st_mode):
            yield from _leaf(fd, name, found, inner, seen)


def _leaf(
    parent: int, name: bytes, found: os.stat_result, path: Path, seen: dict[tuple[int, int], bytes]
) -> Iterator[bytes]:
    inode = (found.st_dev, found.st_ino)
    if found.st_nlink > 1:
        first = seen.setdefault(inode, b"/".join(path))
        if first != b"/".join(path):
            yield from tar_entry(
                entry_of(found, path, first, ())._replace(kind=tarread.HARDLINK, size=0)
            )
            return
    if stat.S_ISLNK(found.st_mode):
        link = os.readlink(name, dir_fd=parent)
        yield from tar_entry(entry_of(found, path, link, ()))
        return
    if not stat.S_ISREG(found.st_mode):
        yield from tar_entry(entry_of(found, path, b"", ()))
        return
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        entry = described(fd, os.fstat(fd), path)
        yield from tar_entry(entry, lambda: iter(lambda: os.read(fd, CHUNK), b""))
    finally:
        os.close(fd)


def described(fd: int, found: os.stat_result, path: Path) -> Entry:
    """The entry of an open file or directory, attributes and all."""
    kept = attributes.carried(fd)
    return entry_of(found, path, b"", tuple((os.fsencode(name), value) for name, value in kept))


def entry_of(
    found: os.stat_result, path: Path, link: bytes, xattrs: tuple[tuple[bytes, bytes], ...]
) -> Entry:
    """The entry of what lstat(2) has found, under a path."""
    device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    return Entry(
        _KINDS[stat.S_IFMT(found.st_mode)],
        path,
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_size if stat.S_ISREG(found.st_mode) else 0,
        found.st_mtime_ns,
        link,
        os.major(found.st_rdev) if device else 0,
        os.minor(found.st_rdev) if device else 0,
        xattrs,
    )


def _mark(path: Path) -> Entry:
    return Entry(tarread.FILE, path, 0o644, 0, 0, 0, 0, b"", 0, 0, ())


def _names(fd: int) -> list[tuple[bytes, bool]]:
    """Names, sorted, and whether each is only hidden here by a mark of another name."""
    found: list[tuple[bytes, bool]] = []
    names = os.listdir(fd)
    for name in names:
        if not name.startswith(whiteouts.PREFIX) or not whiteouts.is_mark(fd, name):
            found.append((os.fsencode(name), False))
        elif (hidden := whiteouts.hidden_by(name)) and hidden not in names:
            found.append((os.fsencode(hidden), True))
    return sorted(found)
