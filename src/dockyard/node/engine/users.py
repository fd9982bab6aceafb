"""Turns ``--user`` into numbers, by the /etc/passwd and /etc/group that the image's layers hold.

Both files are the image's, so hostile: read through descriptors inside the layer, regular files
only, at most a fixed size, never blocking. An all-digit name is a number and is never looked up.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.linux.openat2 import open_in_root

LARGEST = 1024 * 1024
LAST_ID = 2**31 - 1


class User(NamedTuple):
    """Who a program runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(user: str, layers: Sequence[str]) -> User:
    """``uid|name[:gid|group]``; empty is root. ``layers`` are directories, topmost first."""
    name, _, group = user.partition(":")
    passwd = [line for line in _lines(layers, "/etc/passwd", 7)]
    groups = [line for line in _lines(layers, "/etc/group", 4)]
    if not name or name.isdecimal():
        uid = _number(name or "0", user)
        entry = next((line for line in passwd if line[2] == str(uid)), None)
    else:
        entry = next((line for line in passwd if line[0] == name), None)
        if entry is None:
            raise Invalid(f"unable to find user {name}: no matching entries in passwd file")
        uid = _number(entry[2], user)
    gid = _number(entry[3], user) if entry else 0
    extra: tuple[int, ...] = ()
    if group:
        gid = _group(group, groups, user)
    elif entry is not None:
        extra = tuple(_number(line[2], user) for line in groups if entry[0] in line[3].split(","))
    home = entry[5] if entry and entry[5].isprintable() else ""
    return User(uid, gid, tuple(dict.fromkeys((*extra, gid))), home or "/")


def _group(group: str, groups: list[list[str]], user: str) -> int:
    if group.isdecimal():
        return _number(group, user)
    for line in groups:
        if line[0] == group:
            return _number(line[2], user)
    raise Invalid(f"unable to find group {group}: no matching entries in group file")


def _number(text: str, user: str) -> int:
    if not text.isdecimal() or len(text) > 10 or int(text) > LAST_ID:
        raise Invalid(f"user {user!r}: {text[:20]!r}: uids and gids must be in range 0-{LAST_ID}")
    return int(text)


def _lines(layers: Sequence[str], path: str, fields: int) -> Iterator[list[str]]:
    for line in read_file(layers, path).decode(errors="replace").split("\n"):
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts


def read_file(layers: Sequence[str], path: str) -> bytes:
    """A file of an image, from the topmost layer that has it; empty where there is none."""
    for layer in layers:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            with contextlib.suppress(OSError):
                if _is_whiteout(root, path):
                    return b""
            continue
        finally:
            os.close(root)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            return os.read(descriptor, LARGEST)
        finally:
            os.close(descriptor)
    return b""


def _is_whiteout(root: int, path: str) -> bool:
    """overlayfs marks a removed file by a character device 0:0."""
    found = os.stat(path.lstrip("/"), dir_fd=root, follow_symlinks=False)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
