"""Turns directories that a layer did not describe into ones that look like those below them."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from dockyard.base.linux import attributes, whiteouts
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.image.overlayform import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


def inherit(root: str, implied: tuple[Path, ...], lowers: list[str]) -> None:
    """Give each implied directory of ``root`` the owner, mode, attributes and time that the layers
    below (topmost first) have for it."""
    if not implied or not lowers:
        return
    below = [_Lower(lower) for lower in lowers]
    with _opened(root) as top:
        for path in implied:
            found = _find_lower(path, below)
            if found is not None:
                try:
                    _take_after(top, path, found)
                finally:
                    os.close(found)


def _take_after(top: int, path: Path, model: int) -> None:
    fd = open_in_root(top, b"/".join(path) or b".", _FOLDER)
    try:
        found = os.fstat(model)
        os.fchown(fd, found.st_uid, found.st_gid)
        os.fchmod(fd, stat.S_IMODE(found.st_mode))
        attributes.give(fd, attributes.carried(model))
        os.utime(fd, ns=(found.st_mtime_ns, found.st_mtime_ns))
    finally:
        os.close(fd)


class _Lower:
    """One layer below. A layer that lacks a directory lacks all in it: it is asked once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._missing: set[Path] = set()

    def open(self, path: Path) -> int | None:
        """The directory's descriptor, for the caller to close; None where there is none."""
        if self._lacks(path):
            return None
        with _opened(self._root) as root:
            try:
                return open_in_root(root, b"/".join(path) or b".", _FOLDER)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def hides(self, path: Path) -> bool:
        """Whether a whiteout or an opaque directory on the way ends the search."""
        if self._lacks(path):
            return False
        at = os.open(self._root, _FOLDER | os.O_NOFOLLOW)
        try:
            for depth, name in enumerate(path):
                if whiteouts.hides(at, os.fsdecode(name)) or whiteouts.is_opaque(at):
                    return True
                try:
                    deeper = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                except OSError as error:
                    if error.errno == errno.ENOENT:  # not so for a link: it may lead somewhere
                        self._missing.add(path[: depth + 1])
                    return False
                os.close(at)
                at = deeper
            return False
        finally:
            os.close(at)

    def _lacks(self, path: Path) -> bool:
        return any(path[:length] in self._missing for length in range(1, len(path) + 1))


def _find_lower(path: Path, lowers: list[_Lower]) -> int | None:
    """The directory that ``path`` names in the layers below, unless one of them hides it."""
    for lower in lowers:
        found = lower.open(path)
        if found is not None:
            return found
        if lower.hides(path):
            return None
    return None


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, _FOLDER | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
