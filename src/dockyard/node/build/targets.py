"""Turns a container's mounts into the files and directories that they lie on, and back.

Made before the program runs and taken away after it: only what was made here goes (the inode says
so), and no link that the program left is followed.
"""

import errno
import os
import stat
from collections.abc import Sequence
from typing import Any

from dockyard.base.linux.openat2 import (
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    open_in_root,
    openat2,
)

_STRICT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
Inodes = dict[str, tuple[int, int]]


class Made:
    """What was made: paths without links, and the times of directories that were there."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.times: dict[str, int] = {}


def make(root: int, mounts: Sequence[dict[str, Any]]) -> Made:
    """Make what is missing for the mounts, those apart that lie on another mount."""
    made = Made()
    destinations = [os.path.normpath("/" + mount["destination"]) for mount in mounts]
    for mount, destination in zip(mounts, destinations, strict=True):
        above = any(destination.startswith(other + "/") for other in destinations)
        if not above:
            folder = mount["type"] != "bind" or os.path.isdir(mount["source"])
            _make(root, destination.strip("/"), folder, made)
    return made


def _make(root: int, path: str, folder: bool, made: Made) -> None:
    parts = path.split("/")
    parent = os.dup(root)
    try:
        for number, name in enumerate(parts, 1):
            here = "/".join(parts[:number])
            try:
                found = open_in_root(root, here, os.O_PATH)
            except FileNotFoundError:
                _add(root, parent, name, folder or number < len(parts), made)
                found = open_in_root(root, here, os.O_PATH)
            os.close(parent)
            parent = found
    finally:
        os.close(parent)


def _add(root: int, parent: int, name: str, folder: bool, made: Made) -> None:
    top, above = (os.readlink(f"/proc/self/fd/{each}") for each in (root, parent))
    inside = above.removeprefix(top).strip("/")
    where = f"/proc/self/fd/{parent}"
    if inside not in made.times:
        made.times[inside] = os.stat(where).st_mtime_ns
    holder = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if folder:
            os.mkdir(name, 0o755, dir_fd=holder)
        else:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=holder))
    except FileExistsError:
        return  # a link that leads nowhere: the runtime says what is wrong with it
    finally:
        os.close(holder)
    made.paths.append(f"{inside}/{name}" if inside else name)


def identify(upper: str, made: Made) -> tuple[Inodes, dict[str, int]]:
    """The inodes of what was made, as the upper directory has them."""
    inodes: Inodes = {}
    for path in made.paths:
        found = os.lstat(os.path.join(upper, path))
        inodes[path] = (found.st_dev, found.st_ino)
    return inodes, made.times


def remove(upper: str, known: tuple[Inodes, dict[str, int]]) -> None:
    """Take away what is still there, still the same, and still empty."""
    inodes, times = known
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in sorted(inodes, key=lambda each: -each.count("/")):
            _remove(root, path, inodes[path])
        gone = {path.rpartition("/")[0] for path in inodes}
        for path in gone & times.keys():
            _restore(root, path, times[path])
    finally:
        os.close(root)


def _remove(root: int, path: str, inode: tuple[int, int]) -> None:
    folder, _, name = path.rpartition("/")
    try:
        parent = openat2(root, folder or ".", os.O_RDONLY | os.O_DIRECTORY, _STRICT)
    except OSError:
        return
    try:
        found = os.lstat(name, dir_fd=parent)
        if (found.st_dev, found.st_ino) != inode:
            return
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif found.st_size == 0:
            os.unlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
    finally:
        os.close(parent)


def _restore(root: int, path: str, mtime: int) -> None:
    """A directory has the time that it had; not where the program put something else there."""
    try:
        fd = openat2(root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _STRICT)
    except OSError:
        return
    try:
        os.utime(fd, ns=(mtime, mtime))
    finally:
        os.close(fd)
