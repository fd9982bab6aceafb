"""Turns a path in a stack of layers into the bytes that overlayfs would show there, unmounted."""

from __future__ import annotations

import os
import stat

from dockyard.base.errors import Invalid
from dockyard.base.linux import whiteouts
from dockyard.base.linux.openat2 import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


LARGEST = 1024 * 1024
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def read_file(layers: Sequence[str], path: str) -> bytes:
    """A file of the merged tree; empty where there is none, or it is no regular file.

    ``layers`` topmost first. Raises :class:`Invalid` for a file that is too large to be what it
    says. A symbolic link is followed inside the layer that has it.
    """
    for layer in layers:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                return _read(root, path)
            except FileNotFoundError:
                if _hides_lower(root, path):
                    return b""
        finally:
            os.close(root)
    return b""


def _read(root: int, path: str) -> bytes:
    """Raises ``FileNotFoundError`` where this layer says nothing about the path."""
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except NotADirectoryError:
        raise FileNotFoundError(path) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        return b""  # a device that nobody drives (a whiteout is one), a loop of links
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        data = b""
        while chunk := os.read(descriptor, LARGEST):
            data += chunk
            if len(data) > LARGEST:
                raise Invalid(f"image: {path}: more than {LARGEST} bytes")
        return data
    finally:
        os.close(descriptor)


def _hides_lower(root: int, path: str) -> bool:
    """Whether the file, or a folder above it, is hidden by this layer, or such a folder opaque."""
    parts = path.strip("/").split("/")
    folder = os.open(".", FOLDER, dir_fd=root)
    try:
        for name in parts:
            if whiteouts.hides(folder, name):
                return True
            try:
                deeper = open_in_root(folder, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                return False
            os.close(folder)
            folder = deeper
            if whiteouts.is_opaque(folder):
                return True
        return False
    finally:
        os.close(folder)
