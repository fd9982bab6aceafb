"""Turns paths inside a container's root into descriptors that cannot point outside (openat2(2))."""

from __future__ import annotations

import errno
import os
import stat

from dockyard.base import contexts
from dockyard.base.errors import Denied
from dockyard.base.linux import foreign
from dockyard.base.linux.door import call, through
from dockyard.base.linux.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    open_in_root,
    openat2,
)

MOST_LINKS = 40
"""As the kernel has it (path_resolution(7))."""
PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572


def fd_path(descriptor: int) -> str:
    """A path that is this descriptor's file, whatever is renamed meanwhile."""
    return f"/proc/self/fd/{descriptor}"


def open_target(root: int, path: str, *, folder: bool, links: int = MOST_LINKS) -> int:
    """An O_PATH descriptor of a mount's target; what is missing of it is made, also where links
    lead, inside the root. ``links``: how many of them may lead to nothing."""
    try:
        return open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        return _make(root, path, folder, links)


def _make(root: int, path: str, folder: bool, links: int) -> int:
    parent_path, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise Denied(f"mount: {path}: climbs out of what there is")
    parent = open_target(root, parent_path or "/", folder=True, links=links)
    try:
        if folder:
            through("mkdirat", os.mkdir, name, 0o755, dir_fd=parent)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(through("openat", os.open, name, flags, 0o644, dir_fd=parent))
    except FileExistsError:  # somebody else has made it, or it is a link that leads to nothing
        try:
            return open_in_root(root, path, os.O_PATH)
        except FileNotFoundError:
            if not links:
                raise Denied(f"mount: {path}: a link of the image leads to nothing") from None
        target = os.readlink(name, dir_fd=parent)
        return open_target(root, os.path.join(parent_path or "/", target), folder=folder,
                           links=links - 1)  # fmt: skip
    finally:
        os.close(parent)
    return open_in_root(root, path, os.O_PATH)


def open_plain_folder(root: int, path: str) -> int:
    """Like :func:`open_target`, but no component may be a link: for /proc, /sys and the like."""
    os.close(open_target(root, path, folder=True, links=0))
    try:
        found = openat2(
            root,
            path.lstrip("/"),
            os.O_PATH | os.O_DIRECTORY,
            RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        )
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Denied(f"mount: {path}: the image has a link where a folder belongs") from None
    return found


def open_plain_file(root: int, path: str) -> int:
    """As :func:`open_plain_folder`, for a file: what is mounted there must not lie elsewhere."""
    folder, _, name = path.rpartition("/")
    parent = open_plain_folder(root, folder)
    try:
        with contexts.suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(through("openat", os.open, name, flags, 0o600, dir_fd=parent))
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)
    if stat.S_ISLNK(os.fstat(found).st_mode):
        os.close(found)
        raise Denied(f"mount: {path}: the image has a link where a file belongs")
    return found


def magic(descriptor: int) -> int:
    """The type of the file system that a descriptor lies on: statfs(2)."""
    buffer = foreign.create_string_buffer(256)
    call("fstatfs", descriptor, buffer)
    return int.from_bytes(buffer.raw[:8], "little")


def write_proc(proc: int, name: str, value: str) -> None:
    """Write a file of a procfs that we mounted ourselves, and of nothing else."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS
    try:
        descriptor = openat2(proc, name, flags, resolve)
    except OSError as error:
        raise type(error)(error.errno, f"/proc/{name}: {error.strerror}") from error
    try:
        if magic(descriptor) != PROC_SUPER_MAGIC:
            raise Denied(f"/proc/{name}: is not procfs: something is mounted over it")
        through("write", os.write, descriptor, value.encode())
    except OSError as error:
        raise type(error)(error.errno, f"/proc/{name}: {value!r}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def is_null_device(descriptor: int) -> bool:
    """Whether this is /dev/null: character device 1:3."""
    found = os.fstat(descriptor)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)
