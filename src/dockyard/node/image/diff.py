"""Turns two merged trees into what the second adds, changes and deletes."""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.node.image.chunks import CHUNK

ADDED, CHANGED, DELETED = "A", "C", "D"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(NamedTuple):
    """One path; ``kind`` is ``A``, ``C`` or ``D`` as `docker diff` has them."""

    kind: str
    path: str


def differences(before: int, after: int, path: str = "") -> Iterator[Change]:
    """Between two folders' descriptors: each folder stands before what is in it. A folder that is
    new or gone stands for all in it, a new one with its names too."""
    old, new = set(os.listdir(before)), set(os.listdir(after))
    for name in sorted(old | new):
        inner = f"{path}/{name}"
        if name not in new:
            yield Change(DELETED, inner)
        elif name not in old:
            yield Change(ADDED, inner)
            yield from _all_of(after, name, inner)
        else:
            yield from _of_both(before, after, name, inner)


def _of_both(before: int, after: int, name: str, path: str) -> Iterator[Change]:
    one, two = os.lstat(name, dir_fd=before), os.lstat(name, dir_fd=after)
    if stat.S_ISDIR(one.st_mode) and stat.S_ISDIR(two.st_mode):
        first = os.open(name, _FOLDER, dir_fd=before)
        try:
            second = os.open(name, _FOLDER, dir_fd=after)
            try:
                inner = [*differences(first, second, path)]
                if inner or _described(one) != _described(two):
                    yield Change(CHANGED, path)
                yield from inner
            finally:
                os.close(second)
        finally:
            os.close(first)
    elif _described(one) != _described(two) or not _same(before, after, name, one):
        yield Change(CHANGED, path)
        yield from _all_of(after, name, path)


def _all_of(folder: int, name: str, path: str) -> Iterator[Change]:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        return
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        for inner in sorted(os.listdir(fd)):
            yield Change(ADDED, f"{path}/{inner}")
            yield from _all_of(fd, inner, f"{path}/{inner}")
    finally:
        os.close(fd)


def _described(found: os.stat_result) -> tuple[int, ...]:
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return (found.st_mode, found.st_uid, found.st_gid, found.st_rdev, size)


def _same(before: int, after: int, name: str, found: os.stat_result) -> bool:
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(name, dir_fd=before) == os.readlink(name, dir_fd=after)
    if not stat.S_ISREG(found.st_mode):
        return True
    one = os.open(name, _FILE, dir_fd=before)
    try:
        two = os.open(name, _FILE, dir_fd=after)
        try:
            while (data := os.read(one, CHUNK)) == os.read(two, CHUNK):
                if not data:
                    return True
            return False
        finally:
            os.close(two)
    finally:
        os.close(one)
