"""Turns a build context (a directory) into the files that COPY may see, and their hashes.

Read through descriptors: a symbolic link is only followed inside the context (E01), and what
``.dockerignore`` names is not there at all.
"""

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.base.errors import NotFound
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2
from dockyard.node.build.glob import Glob, is_pattern
from dockyard.node.build.ignore import Ignore, parse_ignore
from dockyard.node.build.source import Line

_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
_CHUNK = 1 << 20
_LARGEST_IGNORE = 8 << 20


class File(NamedTuple):
    """One thing in the context. ``path`` is relative, with ``/``; the context itself is empty."""

    path: str
    found: os.stat_result
    link: str
    """A symbolic link's target; empty for others."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)


class Context:
    """An open context. Close it, or use ``with``."""

    def __init__(self, directory: str, dockerfile: str) -> None:
        try:
            self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise NotFound(f"build context: {directory}: {error.strerror}") from error
        self._files: dict[str, File] | None = None
        self._digests: dict[str, str] = {}
        try:
            self._ignore = self._read_ignore(dockerfile)
        except BaseException:
            os.close(self._root)
            raise

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def sources(self, line: Line, pattern: str) -> list[File]:
        """What a COPY's source word means: one file or directory, or all that a pattern fits.

        Raises the line's error where there is nothing.
        """
        cleaned = posixpath.normpath("/" + pattern).strip("/")
        if posixpath.normpath(pattern).startswith(".."):
            raise line.invalid(f"{pattern}: lies outside the build context")
        files = self._all()
        if is_pattern(cleaned):
            glob = Glob(cleaned)
            found = [file for path, file in files.items() if path and glob.matches(path)]
            found = [file for file in found if posixpath.dirname(file.path).count("/") ==
                     posixpath.dirname(cleaned).count("/")]  # fmt: skip
        else:
            found = [files[cleaned]] if cleaned in files else self._through_links(cleaned)
        if not found:
            raise line.invalid(
                f"{pattern}: is not in the build context (or .dockerignore hides it)"
            )
        return sorted(found)

    def below(self, directory: File) -> Iterator[File]:
        """All in a directory, parents before what is in them."""
        prefix = directory.path + "/" if directory.path else ""
        for path, file in sorted(self._all().items()):
            if path and path.startswith(prefix) and path != directory.path:
                yield file

    def open(self, file: File) -> int:
        """A regular file's descriptor."""
        return openat2(self._root, file.path, os.O_RDONLY | os.O_NONBLOCK, _INSIDE)

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

    def _all(self) -> dict[str, File]:
        if self._files is None:
            top = File("", os.fstat(self._root), "")
            self._files = {"": top}
            self._walk(self._root, "", self._ignore.start)
        return self._files

    def _walk(self, directory: int, prefix: str, above: int) -> None:
        assert self._files is not None
        for name in sorted(os.listdir(directory)):
            path = prefix + name
            ignored, state = self._ignore.decide(path, above)
            found = os.lstat(name, dir_fd=directory)
            if stat.S_ISDIR(found.st_mode):
                if not ignored:
                    self._files[path] = File(path, found, "")
                if not ignored or self._ignore.takes_back:
                    inner = os.open(
                        name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory
                    )
                    try:
                        self._walk(inner, path + "/", state)
                    finally:
                        os.close(inner)
            elif not ignored:
                link = os.readlink(name, dir_fd=directory) if stat.S_ISLNK(found.st_mode) else ""
                self._files[path] = File(path, found, link)
                self._add_parents(path)

    def _add_parents(self, path: str) -> None:
        """Directories that were ignored but have something in them that was taken back."""
        assert self._files is not None
        parent = posixpath.dirname(path)
        while parent and parent not in self._files:
            found = os.stat(parent, dir_fd=self._root, follow_symlinks=False)
            self._files[parent] = File(parent, found, "")
            parent = posixpath.dirname(parent)

    def _through_links(self, path: str) -> list[File]:
        """A path with a symbolic link in it: where it leads inside the context."""
        try:
            fd = openat2(self._root, path, os.O_PATH, _INSIDE)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV, errno.ELOOP):
                return []
            raise
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
            top = os.readlink(f"/proc/self/fd/{self._root}")
        finally:
            os.close(fd)
        found = self._all().get(real.removeprefix(top).strip("/"))
        return [found] if found is not None else []

    def _read_ignore(self, dockerfile: str) -> Ignore:
        """``<Dockerfile>.dockerignore`` goes before ``.dockerignore``."""
        for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
            try:
                fd = openat2(self._root, name, os.O_RDONLY | os.O_NONBLOCK, _INSIDE)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV):
                    continue
                raise
            with os.fdopen(fd, "rb") as file:
                return parse_ignore(file.read(_LARGEST_IGNORE), name)
        return Ignore([])
