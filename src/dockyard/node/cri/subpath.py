"""Turns a volume and a path below it into one path without links, which never leaves the volume.

The kernel walks the path from the volume's descriptor (RESOLVE_BENEATH): a link that a pod has made
leads nowhere outside (F23). What is handed on has no link in it, and the runtime opens it following
none, so nothing can be swapped in between.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Denied
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2

NO_LINKS = "x-dockyard.no-links"
"""Mount option: the runtime opens the source without following any link."""
_WALK = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS


def resolve(volume: str, path: str) -> str:
    """The path below the volume; folders that are missing are made there.

    Raises Denied for one that leads out.
    """
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        found = _open(root, path, volume)
        try:
            return os.readlink(f"/proc/self/fd/{found}")
        finally:
            os.close(found)
    finally:
        os.close(root)


def _open(root: int, path: str, volume: str) -> int:
    try:
        return openat2(root, path, os.O_PATH, _WALK)
    except FileNotFoundError:
        return _make(root, path, volume)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP):
            raise Denied(f"subPath: {path}: leads out of the volume {volume}") from error
        raise


def _make(root: int, path: str, volume: str) -> int:
    """Part by part, each from the descriptor of the one above; as wide open as the volume is."""
    mode = os.fstat(root).st_mode & 0o7777
    current = os.dup(root)
    try:
        for part in [each for each in path.split("/") if each not in ("", ".")]:
            if part == "..":
                raise Denied(f"subPath: {path}: leads out of the volume {volume}")
            try:
                below = openat2(current, part, os.O_PATH | os.O_DIRECTORY, _WALK)
            except FileNotFoundError:
                os.mkdir(part, mode, dir_fd=current)
                below = openat2(current, part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, _WALK)
            os.close(current)
            current = below
        return os.dup(current)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP):
            raise Denied(f"subPath: {path}: leads out of the volume {volume}") from error
        raise
    finally:
        os.close(current)
