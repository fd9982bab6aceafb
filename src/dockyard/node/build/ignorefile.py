"""Turns a build context's directory into :class:`Files`, with its ignore file obeyed."""

import errno
import os

from dockyard.base.errors import NotFound
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2
from dockyard.node.build.files import Files
from dockyard.node.build.ignore import NOTHING, Ignore, parse_ignore

_INSIDE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
_LARGEST_IGNORE = 8 << 20


def open_context(directory: str, dockerfile: str = "", what: str = "the build context") -> Files:
    """``dockerfile``: its path inside the context, if it is there; close what is returned."""
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NotFound(f"build: {what}: {directory}: {error.strerror}") from error
    try:
        return Files(root, what, _read_ignore(root, dockerfile), outside=True)
    except BaseException:
        os.close(root)
        raise


def _read_ignore(root: int, dockerfile: str) -> Ignore:
    """``<Dockerfile>.dockerignore`` goes before ``.dockerignore``."""
    names = [f"{dockerfile}.dockerignore"] if dockerfile else []
    for name in (*names, ".dockerignore"):
        try:
            fd = openat2(root, name, os.O_RDONLY | os.O_NONBLOCK, _INSIDE)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV):
                continue
            raise
        with os.fdopen(fd, "rb") as file:
            return parse_ignore(file.read(_LARGEST_IGNORE), name)
    return NOTHING
