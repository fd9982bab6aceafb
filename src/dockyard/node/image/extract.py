"""Turns tar entries into a directory that overlayfs can use as a layer.

OCI image-spec, layer.md. Whiteouts become overlayfs' own form (character device 0:0, opaque
attribute), made by us only: an archive's own ones are refused or dropped. They hide what lower
layers have, never what the same layer brings.
"""

import errno
import os
import stat
from typing import NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.linux import attributes, whiteouts
from dockyard.node.image import sparse, tarread
from dockyard.node.image.overlayform import Path
from dockyard.node.image.tarread import Entry, TarReader
from dockyard.node.image.tree import DIRECTORY, Tree, is_whiteout

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_RESERVED = b".wh..wh."
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_CAPABILITY = attributes.CAPABILITY.encode()
_ACLS = tuple(name.encode() for name in attributes.ACLS)
_OVERLAYS = tuple(name.encode() for name in whiteouts.OVERLAYS)


class Extracted(NamedTuple):
    """What came out. ``total``: bytes of its files and links, which Docker calls a layer's size.
    ``implied``: directories the archive did not describe, parents first."""

    entries: int
    total: int
    implied: tuple[Path, ...]


def extract(reader: TarReader, root: str, what: str) -> Extracted:
    """Lay all entries into the directory ``root``, which nobody else may reach (0700 above it).

    Raises :class:`Invalid` for an entry that can't be there. What was laid stays: the caller
    removes the directory.
    """
    with Tree(os.open(root, DIRECTORY | os.O_NOFOLLOW), what) as tree:
        layer = _Layer(tree, reader, what)
        count = total = 0
        for entry in reader:
            count += 1
            total += entry.size + (len(entry.link) if entry.kind == tarread.SYMLINK else 0)
            layer.add(entry)
        layer.set_times()
        implied = {*tree.implied, ()} - layer.described
        return Extracted(count, total, tuple(sorted(implied, key=len)))


def extract_files(
    reader: TarReader, tree: Tree, what: str, owner: tuple[int, int] | None = None
) -> None:
    """Lay all entries into a tree that is no layer: nothing in it is hidden, so names of whiteouts
    are refused. ``owner``: of everything, instead of what the archive says."""
    layer = _Layer(tree, reader, what)
    for entry in reader:
        if any(part.startswith(WHITEOUT) for part in entry.path):
            raise Invalid(f"{what}: {entry.name[:200]!r}: a whiteout's name; refused")
        layer.add(entry if owner is None else entry._replace(uid=owner[0], gid=owner[1]))
    layer.set_times()


class _Layer:
    def __init__(self, tree: Tree, reader: TarReader, what: str) -> None:
        self._tree = tree
        self._reader = reader
        self._what = what
        self._times: dict[Path, int] = {}
        self.described: set[Path] = set()
        self._squash = os.geteuid() != 0
        """An ordinary user owns everything, and can make no devices."""

    def add(self, entry: Entry) -> None:
        try:
            if entry.path and entry.path[-1].startswith(WHITEOUT):
                self._whiteout(entry)
            elif any(part.startswith(WHITEOUT) for part in entry.path[:-1]):
                raise self._refused(entry, "inside a whiteout")
            elif entry.kind == tarread.DIRECTORY:
                self._directory(entry)
            elif not entry.path:
                raise self._refused(entry, "the root must be a directory")
            else:
                self._leaf(entry)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE):
                raise
            raise self._refused(entry, error.strerror or str(error)) from error

    def set_times(self) -> None:
        """Directories' times come last: each entry laid into one changes them."""
        for path, mtime in self._times.items():
            fd = self._tree.find(path)
            if fd is not None:  # else something later in the archive took its place
                os.utime(fd, ns=(mtime, mtime))

    def _whiteout(self, entry: Entry) -> None:
        path, name = entry.path[:-1], entry.path[-1]
        if name == OPAQUE_MARK:
            self._tree.directory(path)
            self._tree.hide_lower(path)
            return
        hidden = name.removeprefix(WHITEOUT)
        if name.startswith(_RESERVED):
            return  # aufs' own bookkeeping (.wh..wh.plnk, .wh..wh.aufs), of no meaning elsewhere
        if hidden in (b"", b".", b".."):
            raise self._refused(entry, "a whiteout of no name")
        parent = self._tree.directory(path)
        try:
            found = os.lstat(hidden, dir_fd=parent)
        except FileNotFoundError:
            self._tree.hide(parent, (*path, hidden))
            return
        if stat.S_ISDIR(found.st_mode):
            self._tree.hide_lower((*path, hidden))

    def _directory(self, entry: Entry) -> None:
        hides = False
        if entry.path:
            parent, name = self._tree.directory(entry.path[:-1]), entry.path[-1]
            hides = self._tree.forget_mark(parent, entry.path)
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                hides = hides or is_whiteout(parent, name)
                if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                    self._replace(parent, name)
                    parent = self._tree.directory(entry.path[:-1])
                    os.mkdir(name, 0o700, dir_fd=parent)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        else:
            fd = os.dup(self._tree.root)
        try:
            self._describe(fd, entry)
        finally:
            os.close(fd)
        if hides:
            self._tree.hide_lower(entry.path)
        self._times[entry.path] = entry.mtime
        self.described.add(entry.path)

    def _leaf(self, entry: Entry) -> None:
        parent, name = self._tree.directory(entry.path[:-1]), entry.path[-1]
        self._tree.forget_mark(parent, entry.path)
        try:
            self._make(entry, parent, name)
        except FileExistsError:
            self._replace(parent, name)
            parent = self._tree.directory(entry.path[:-1])
            self._make(entry, parent, name)

    def _make(self, entry: Entry, parent: int, name: bytes) -> None:
        kind = entry.kind
        if kind == tarread.FILE:
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
            try:
                if entry.sparse is not None:
                    sparse.write(fd, self._reader, entry)
                else:
                    for piece in self._reader.data():
                        _write(fd, piece)
                self._describe(fd, entry)
                os.utime(fd, ns=(entry.mtime, entry.mtime))
            finally:
                os.close(fd)
            return
        if kind == tarread.HARDLINK:
            self._hardlink(entry, name)
            return
        if kind == tarread.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
        elif self._squash and entry.kind != tarread.FIFO:
            return
        else:
            self._special(entry, parent, name)
        if not self._squash:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if kind != tarread.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=parent)  # ours a moment ago, and no link
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _special(self, entry: Entry, parent: int, name: bytes) -> None:
        if entry.kind == tarread.FIFO:
            os.mknod(name, stat.S_IFIFO | 0o600, dir_fd=parent)
            return
        if entry.kind == tarread.CHAR and (entry.major, entry.minor) == (0, 0):
            raise self._refused(entry, "a device 0:0, which overlayfs takes for a whiteout")
        kind = stat.S_IFCHR if entry.kind == tarread.CHAR else stat.S_IFBLK
        device = os.makedev(entry.major, entry.minor)
        os.mknod(name, kind | 0o600, device, dir_fd=parent)

    def _hardlink(self, entry: Entry, name: bytes) -> None:
        target = self._reader.path(entry.link)
        if not target:
            raise self._refused(entry, "a hard link to the root")
        if target == entry.path:
            return
        source = os.dup(self._tree.directory(target[:-1]))
        try:
            if is_whiteout(source, target[-1]):
                raise self._refused(entry, "a hard link to a whiteout")
            parent = self._tree.directory(entry.path[:-1])
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _replace(self, parent: int, name: bytes) -> None:
        kept = os.dup(parent)
        try:
            self._tree.remove(kept, name)
        finally:
            os.close(kept)

    def _describe(self, fd: int, entry: Entry) -> None:
        """Owner, then mode (a change of owner drops setuid), then attributes, by policy."""
        mode = entry.mode
        if not self._squash:
            os.fchown(fd, entry.uid, entry.gid)
        elif entry.kind == tarread.DIRECTORY:
            mode |= 0o700  # what follows is laid into it by its owner
        os.fchmod(fd, mode)
        attributes.give(fd, [pair for pair in entry.xattrs if self._wants(entry, pair[0])])

    def _wants(self, entry: Entry, key: bytes) -> bool:
        if key == _CAPABILITY:
            return entry.kind == tarread.FILE and not self._squash
        return (key.startswith(b"user.") and not key.startswith(_OVERLAYS)) or key in _ACLS

    def _refused(self, entry: Entry, reason: str) -> Invalid:
        return Invalid(f"{self._what}: {entry.name[:200]!r}: {reason}; refused")


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]
