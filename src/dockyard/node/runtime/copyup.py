"""Turns what lies below a new tmpfs into its content: option ``tmpcopyup``.

Names are walked by descriptors and no link is followed: the image's content cannot lead elsewhere.
"""

from __future__ import annotations

import os
import stat

from dockyard.node.runtime import rootpath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20


def copy(below: int, mounted: int) -> None:
    """Both are O_PATH descriptors of folders. The tmpfs gets the folder's mode and owner too."""
    source = os.open(rootpath.fd_path(below), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target = os.open(rootpath.fd_path(mounted), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _copy_folder(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_folder(source: int, target: int) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
            continue
        if kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=target)
            _into(source, target, name)
        elif kind == stat.S_IFREG:
            _copy_file(source, target, name)
        else:
            os.mknod(name, kind | 0o600, found.st_rdev, dir_fd=target)
        _own(target, name, found)
    own = os.fstat(source)
    os.fchown(target, own.st_uid, own.st_gid)
    os.fchmod(target, stat.S_IMODE(own.st_mode))


def _into(source: int, target: int, name: str) -> None:
    inner = os.open(name, _FOLDER, dir_fd=source)
    try:
        into = os.open(name, _FOLDER, dir_fd=target)
        try:
            _copy_folder(inner, into)
        finally:
            os.close(into)
    finally:
        os.close(inner)


def _copy_file(source: int, target: int, name: str) -> None:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    read = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _PIECE):
                pass
        finally:
            os.close(write)
    finally:
        os.close(read)


def _own(target: int, name: str, found: os.stat_result) -> None:
    """The owner first: a change of owner takes setuid away."""
    os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
