"""Turns a stack of layers into a folder of its own: a copy of the tree that overlayfs would show.

Bytes are shared with the layers where the file system can (FICLONE), else copied by the kernel
(copy_file_range(2)), holes as holes. Names of one file stay names of one file; a layer's own files
are never linked to, for whoever has the copy may write to it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Sequence

from dockyard.base.linux import attributes, mergedtree, whiteouts
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from dockyard.base.linux.treechanges import DELETED, Change

FICLONE = 0x40049409
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SHORT = (errno.EXDEV, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ENOTTY, errno.EBADF)
_PIECE = 1 << 30


def copy(layers: Sequence[str], target: str) -> None:
    """Fill an empty folder with the merged tree, its root's own mode and times too. ``layers``
    topmost first."""
    with mergedtree.opened(layers) as opened:
        goal = os.open(target, mergedtree.FOLDER)
        try:
            copier = Copier()
            copier.folder(opened, goal)
            copier.describe(opened[0], goal)
        finally:
            os.close(goal)


def copy_changes(root: str, changes: Iterable[Change], target: str) -> None:
    """Fill an empty folder as an overlay's upper directory that makes these changes. ``root`` is
    the whole tree that has them; no link in it is followed."""
    source = os.open(root, mergedtree.FOLDER)
    try:
        goal = os.open(target, mergedtree.FOLDER)
        try:
            copier, folders = Copier(), list[str]()
            for kind, path in changes:
                copier.change(source, goal, kind, path.strip("/"), folders)
            for path in ("", *folders)[::-1]:  # times come last: what is laid into one changes them
                copier.describe_at(source, goal, path)
        finally:
            os.close(goal)
    finally:
        os.close(source)


class Copier:
    """Knows which files it has copied under another name."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], str] = {}
        self._root = os.geteuid() == 0

    def folder(self, layers: tuple[int, ...], goal: int) -> None:
        """What is in a merged folder, not the folder itself."""
        for name in mergedtree.names(layers):
            found = mergedtree.find(layers, name)
            if found is None:
                continue
            if stat.S_ISDIR(found.stat.st_mode):
                os.mkdir(name, 0o700, dir_fd=goal)
                inner = os.open(name, mergedtree.FOLDER, dir_fd=goal)
                try:
                    with mergedtree.enter(layers, name) as below:
                        self.folder(below, inner)
                        self.describe(below[0], inner)
                finally:
                    os.close(inner)
            else:
                self.leaf(found.folder, name, found.stat, goal)

    def change(self, source: int, goal: int, kind: str, path: str, folders: list[str]) -> None:
        """One change of a tree; ``folders`` gets those that are to be described."""
        if not path:
            return
        above, _, name = path.rpartition("/")
        within = _below(goal, above)
        try:
            if kind == DELETED:
                whiteouts.hide(within, name)
                return
            origin = _below(source, above)
            try:
                found = os.stat(name, dir_fd=origin, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    os.mkdir(name, 0o700, dir_fd=within)
                    folders.append(path)
                else:
                    self.leaf(origin, name, found, within)
            finally:
                os.close(origin)
        finally:
            os.close(within)

    def describe_at(self, source: int, goal: int, path: str) -> None:
        """As :meth:`describe`, of a folder of both trees."""
        one = _below(source, path)
        try:
            two = _below(goal, path)
            try:
                self.describe(one, two)
            finally:
                os.close(two)
        finally:
            os.close(one)

    def leaf(self, folder: int, name: str, found: os.stat_result, goal: int) -> None:
        """Anything that is no folder. A socket is left out: nobody listens on it."""
        if found.st_nlink > 1 and self._linked(found, name, goal):
            return
        if stat.S_ISREG(found.st_mode):
            source = os.open(name, _FILE, dir_fd=folder)
            try:
                copy = os.open(name, _CREATE, 0o600, dir_fd=goal)
                try:
                    _bytes(source, copy, os.fstat(source).st_size)
                    self.describe(source, copy)
                finally:
                    os.close(copy)
            finally:
                os.close(source)
            return
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=folder), name, dir_fd=goal)
        elif not stat.S_ISSOCK(found.st_mode):
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=goal)
        else:
            return
        if self._root:
            os.chown(name, found.st_uid, found.st_gid, dir_fd=goal, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=goal)  # ours a moment ago
        times = (found.st_atime_ns, found.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=goal, follow_symlinks=False)

    def _linked(self, found: os.stat_result, name: str, goal: int) -> bool:
        """Whether the file is there under another name already; it has this one too then."""
        inode = (found.st_dev, found.st_ino)
        first = self._seen.get(inode)
        if first is None:
            self._seen[inode] = f"{os.readlink(f'/proc/self/fd/{goal}')}/{name}"
            return False
        os.link(first, name, dst_dir_fd=goal, follow_symlinks=False)
        return True

    def describe(self, source: int, target: int) -> None:
        """Owner, mode, attributes and times; in this order, for each may change the next."""
        found = os.fstat(source)
        if self._root:
            os.fchown(target, found.st_uid, found.st_gid)
        os.fchmod(target, stat.S_IMODE(found.st_mode))
        attributes.give(target, attributes.of(source).items())
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _below(root: int, path: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    return openat2(root, path or ".", flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def _bytes(source: int, target: int, size: int) -> None:
    try:
        fcntl.ioctl(target, FICLONE, source)
        return
    except OSError as error:
        if error.errno not in _SHORT:
            raise
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # nothing but a hole is left
        at = os.lseek(source, start, os.SEEK_HOLE)
        _range(source, target, start, at)


def _range(source: int, target: int, start: int, end: int) -> None:
    at = start
    while at < end:
        wanted = min(end - at, _PIECE)
        try:
            done = os.copy_file_range(source, target, wanted, at, at)
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            done = os.pwrite(target, os.pread(source, min(wanted, 1 << 20), at), at)
        if not done:
            return  # it was cut off while it was read
        at += done
