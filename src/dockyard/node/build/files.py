"""Turns a directory (a build context, a stage's or an image's root) into the files that a step may
use, and their hashes.

Read through descriptors: every symbolic link is followed inside the tree only (E01), and what
``.dockerignore`` names is not there at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.linux import attributes
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.build.glob import Glob, is_pattern
from dockyard.node.build.ignore import NOTHING, Ignore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.source import Line

_CHUNK = 1 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
DEEPEST = 256


class File(NamedTuple):
    """One thing in the tree. ``path`` is relative, with ``/``; the root itself is empty."""

    path: str
    found: os.stat_result
    link: str
    """A symbolic link's target; empty for others."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Found(NamedTuple):
    """What a source word means: the path that was asked for, and the file where links led."""

    path: str
    file: File


class Files:
    """A tree to copy from. Owns ``root``, a descriptor; use ``with``."""

    def __init__(self, root: int, what: str, ignore: Ignore = NOTHING, *, outside: bool) -> None:
        self._root = root
        self.root = root
        self.what = what
        self.ignore = ignore
        self.outside = outside
        """Whether it comes from outside the build (a context): owners there mean nothing."""
        self.time: int | None = None
        """Nanoseconds: of all files, where their own mean nothing (a git checkout)."""
        self._digests: dict[str, str] = {}
        self._states: dict[str, tuple[bool, int]] = {"": (False, ignore.start)}

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def sources(self, line: Line, pattern: str) -> list[Found]:
        """What a source word means: one file or directory, or all that a pattern fits, which may
        be nothing.

        Raises the line's error where a word without a pattern names nothing.
        """
        if posixpath.normpath(pattern).startswith("..") and self.outside:
            raise line.invalid(f"{pattern}: lies outside the build context")
        cleaned = posixpath.normpath("/" + pattern).strip("/")
        if is_pattern(cleaned):
            return list(self._fitting(cleaned))
        one = self.find(cleaned)
        if one is None:
            hidden = " (or .dockerignore hides it)" if self.ignore is not NOTHING else ""
            raise line.invalid(f"{pattern}: is not in {self.what}{hidden}")
        return [Found(cleaned, one)]

    def find(self, path: str) -> File | None:
        """What lies at a path, links on the way and at its end followed inside the tree: with the
        path where they led."""
        try:
            fd = open_in_root(self._root, path or ".", os.O_PATH)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        try:
            found = os.fstat(fd)
            real = os.readlink(f"/proc/self/fd/{fd}")
            top = os.readlink(f"/proc/self/fd/{self._root}")
        finally:
            os.close(fd)
        inside = real.removeprefix(top).strip("/")
        file = File(inside, found, "")
        ignored, _ = self._state(inside)
        if ignored and not (file.is_directory and next(self.below(file), None) is not None):
            return None
        return file

    def below(self, directory: File) -> Iterator[File]:
        """All in a directory, parents before what is in them."""
        try:
            fd = open_in_root(self._root, directory.path or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise
        try:
            prefix = directory.path + "/" if directory.path else ""
            yield from self._walk(fd, prefix, self._state(directory.path)[1], [])
        finally:
            os.close(fd)

    def open(self, file: File) -> int:
        """A regular file's descriptor."""
        return open_in_root(self._root, file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)

    def digest(self, file: File) -> str:
        """SHA-256 of a regular file's bytes."""
        known = self._digests.get(file.path)
        if known is None:
            hasher = hashlib.sha256()
            fd = self.open(file)
            try:
                while chunk := os.read(fd, _CHUNK):
                    hasher.update(chunk)
            finally:
                os.close(fd)
            known = self._digests[file.path] = hasher.hexdigest()
        return known

    def attributes(self, file: File) -> list[tuple[str, bytes]]:
        """Extended attributes that go with a file's or directory's copy."""
        if file.link or not (file.is_directory or stat.S_ISREG(file.found.st_mode)):
            return []
        fd = open_in_root(self._root, file.path or ".", os.O_RDONLY | os.O_NONBLOCK)
        try:
            return attributes.carried(fd)
        finally:
            os.close(fd)

    def _state(self, path: str) -> tuple[bool, int]:
        """What the ignore file says of a path, and of what lies in it."""
        known = self._states.get(path)
        if known is None:
            _, above = self._state(posixpath.dirname(path))
            known = self.ignore.decide(path, above)
            if len(self._states) < 100_000:
                self._states[path] = known
        return known

    def _walk(self, fd: int, prefix: str, above: int, pending: list[File]) -> Iterator[File]:
        """``pending``: ignored directories on the way, which come if something in them does."""
        if prefix.count("/") > DEEPEST:
            raise OSError(errno.ELOOP, f"deeper than {DEEPEST} directories", prefix[:80])
        for name in sorted(os.listdir(fd)):
            path = prefix + name
            ignored, state = self.ignore.decide(path, above)
            found = os.lstat(name, dir_fd=fd)
            if stat.S_ISDIR(found.st_mode):
                if ignored and not self.ignore.takes_back:
                    continue
                file = File(path, found, "")
                held = [*pending, file] if ignored else []
                if not ignored:
                    yield from _taken(pending)
                    yield file
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                try:
                    for each in self._walk(inner, path + "/", state, held):
                        pending.clear()  # they came with the first one, through ``held``
                        yield each
                finally:
                    os.close(inner)
            elif not ignored:
                link = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(found.st_mode) else ""
                yield from _taken(pending)
                yield File(path, found, link)

    def _fitting(self, pattern: str) -> Iterator[Found]:
        """All that a pattern fits. Without ``**`` only directories that can hold one are read."""
        if "**" in pattern:
            glob = Glob(pattern)
            top = self.find("")
            assert top is not None
            for file in self.below(top):
                if glob.matches(file.path) and (one := self.find(file.path)) is not None:
                    yield Found(file.path, one)
            return
        yield from self._match("", pattern.split("/"))

    def _match(self, folder: str, parts: list[str]) -> Iterator[Found]:
        if not any(is_pattern(part) for part in parts):
            path = posixpath.join(folder, *parts)
            if (one := self.find(path)) is not None:
                yield Found(path, one)
            return
        try:
            fd = open_in_root(self._root, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise
        try:
            names = sorted(os.listdir(fd))
        finally:
            os.close(fd)
        glob = Glob(parts[0])
        for name in names:
            if glob.matches(name):
                path = posixpath.join(folder, name)
                if parts[1:]:
                    yield from self._match(path, parts[1:])
                elif (found := self.find(path)) is not None:
                    yield Found(path, found)


def _taken(pending: list[File]) -> Iterator[File]:
    waiting = list(pending)
    pending.clear()
    yield from waiting
