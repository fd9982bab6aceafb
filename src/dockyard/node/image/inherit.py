"""Turns directories that a layer did not describe into ones that look like those below them."""

import contextlib
import os
import stat

from dockyard.base.linux import whiteouts
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.image.overlayform import Path
from dockyard.node.image.tree import attributes_of, set_attribute


def inherit(root: str, implied: tuple[Path, ...], lowers: list[str]) -> None:
    """Give each implied directory of ``root`` the owner, mode, attributes and time that the layers
    below (topmost first) have for it."""
    for path in implied:
        with contextlib.ExitStack() as stack:
            below = _find_lower(path, lowers, stack)
            if below is None:
                continue
            fd = _open(root, path, stack)
            found = os.fstat(below)
            os.fchown(fd, found.st_uid, found.st_gid)
            os.fchmod(fd, stat.S_IMODE(found.st_mode))
            for key in attributes_of(below):
                if not key.startswith("trusted."):
                    set_attribute(fd, key, os.getxattr(below, key))
            os.utime(fd, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _find_lower(path: Path, lowers: list[str], stack: contextlib.ExitStack) -> int | None:
    """The directory that ``path`` names in the layers below, unless one of them hides it."""
    for lower in lowers:
        root = _open(lower, (), stack)
        try:
            found = open_in_root(root, b"/".join(path), os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            if _hides(root, path):
                return None
            continue
        stack.callback(os.close, found)
        return found
    return None


def _hides(root: int, path: Path) -> bool:
    """Whether a whiteout or an opaque directory on the way ends the search."""
    at = os.dup(root)
    try:
        for name in path:
            if whiteouts.hides(at, os.fsdecode(name)) or whiteouts.is_opaque(at):
                return True
            try:
                deeper = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            except OSError:
                return False
            os.close(at)
            at = deeper
        return False
    finally:
        os.close(at)


def _open(root: str, path: Path, stack: contextlib.ExitStack) -> int:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    stack.callback(os.close, fd)
    if not path:
        return fd
    found = open_in_root(fd, b"/".join(path), os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, found)
    return found
