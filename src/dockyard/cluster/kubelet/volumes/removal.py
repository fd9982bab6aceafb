"""Turns a folder that a pod could write to into nothing: no link is followed, no mount is entered.

Every step goes through the descriptor of the folder above (F23): what the pod renames or links
meanwhile cannot lead outside.
"""

from __future__ import annotations

import os
from pathlib import Path

from dockyard.base.errors import Conflict


def remove_tree(folder: Path) -> None:
    """One that is gone is fine. Raises Conflict at a mount, before anything of it is touched."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags)
    except FileNotFoundError:
        return
    try:
        _empty(descriptor, os.fstat(descriptor).st_dev, str(folder))
    finally:
        os.close(descriptor)
    folder.rmdir()


def _empty(folder: int, device: int, where: str) -> None:
    with os.scandir(folder) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in names:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
            continue
        inner = os.open(
            name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
        )
        try:
            if os.fstat(inner).st_dev != device:
                raise Conflict(f"remove: {where}/{name}: something is mounted there; unmount it")
            _empty(inner, device, f"{where}/{name}")
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=folder)
