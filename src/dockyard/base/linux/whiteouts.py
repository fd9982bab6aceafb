"""Turns what a layer hides of those below it into marks in its folders, and marks into answers.

overlayfs reads character devices 0:0 and an attribute (the kernel's overlayfs.rst). Where a file
system takes neither, a mark is an empty file as layers' archives have it (OCI image-spec,
layer.md): fuse-overlayfs and whoever merges layers without a mount read both.
"""

from __future__ import annotations

import errno
import os
import stat

from dockyard.base import contexts
from dockyard.base.linux.opaque import OPAQUE

PREFIX = ".wh."
OPAQUE_FILE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_NO_NAMES = ("", ".", "..", ".opq")
"""The last: fuse-overlayfs leaves such a mark beside the one of an opaque folder."""
_NOT_HERE = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
OVERLAYS = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
"""How attributes begin that an overlay keeps its own accounts in."""


def is_device(found: os.stat_result) -> bool:
    """Whether it is overlayfs' whiteout."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_mark(folder: int, name: str) -> bool:
    """Whether it is a file that stands for something hidden, and nothing that is seen."""
    if not name.startswith(PREFIX):
        return False
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return is_device(found) or (stat.S_ISREG(found.st_mode) and not found.st_size)


def hidden_by(mark: str) -> str:
    """The name that a mark hides; empty for one that hides no name alone."""
    hidden = mark.removeprefix(PREFIX)
    return "" if mark.startswith(_RESERVED) or hidden in _NO_NAMES else hidden


def hides(folder: int, name: str) -> bool:
    """Whether a layer's folder says that what lies below under this name is gone."""
    try:
        return is_device(os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return has_mark(folder, name)


def has_mark(folder: int, name: str) -> bool:
    """Whether there is a file that hides the name; asked where the name itself is not there."""
    try:
        return is_mark(folder, PREFIX + name)
    except OSError:  # not there, or a name that is too long with a prefix
        return False


def hide(folder: int, name: str) -> bool:
    """Hide a name; whether by a device, under the name itself."""
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
        return True
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    os.close(os.open(PREFIX + name, _CREATE, 0o600, dir_fd=folder))
    return False


def is_opaque(folder: int) -> bool:
    """Whether a folder, open to be read, hides the ones below."""
    with contexts.suppress(OSError):
        if os.getxattr(folder, OPAQUE) == b"y":
            return True
    with contexts.suppress(OSError):
        return is_mark(folder, OPAQUE_FILE)
    return False


def make_opaque(folder: int) -> None:
    """Let a folder hide those below."""
    try:
        os.setxattr(folder, OPAQUE, b"y")
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        os.close(os.open(OPAQUE_FILE, _CREATE, 0o600, dir_fd=folder))
