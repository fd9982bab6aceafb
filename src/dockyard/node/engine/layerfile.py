"""Turns a path in an image into the bytes that its layers have there, without mounting them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from dockyard.base.linux.openat2 import open_in_root

LARGEST = 1024 * 1024
"""Only the beginning of a larger file is read."""


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
