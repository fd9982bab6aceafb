"""Turns layers and an upper directory into the descriptor of their merged tree (overlayfs).

The mount is taken off the host's tree at once and lives as long as its descriptor: nobody else
sees it, and nothing has to be unmounted afterwards.
"""

import os
from collections.abc import Sequence

from dockyard.base.errors import Invalid
from dockyard.base.linux import syscalls

LONGEST_DATA = 4095
"""mount(2) takes one page of data."""


def open_overlay(lower: Sequence[str], upper: str, work: str, at: str) -> int:
    """A descriptor of the merged root; closing it ends the mount.

    ``lower`` topmost first; ``at`` is an empty directory that is mounted over for a moment.
    """
    for folder in (*lower, upper, work):
        if any(character in folder for character in ",:\\"):
            raise Invalid(f"overlay: {folder}: has a comma, a colon or a backslash in its path")
    data = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    if len(data) > LONGEST_DATA:
        raise Invalid(f"overlay: {len(lower)} layers: their paths are longer than a page")
    syscalls.mount("overlay", at, "overlay", 0, data)
    try:
        return os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        syscalls.umount(at, syscalls.MNT_DETACH)
