"""Turns a folder that a pod could write to into nothing: no link is followed, no mount is entered.

Every step goes through the descriptor of the folder above (F23): what the pod renames or links
meanwhile cannot lead outside. Folders in folders are moved up before they are emptied, so that a
tree of any depth needs two descriptors and no recursion.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from dockyard.base.errors import Conflict
from dockyard.cluster.kubelet.volumes.memory import mounts_below

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(folder: Path) -> None:
    """One that is gone is fine. Raises Conflict at a mount, before anything of it is touched."""
    try:
        top = os.open(folder, FLAGS)
    except FileNotFoundError:
        return
    try:
        for point, _ in mounts_below(folder):
            raise _mounted(point)
        device = os.fstat(top).st_dev
        while names := _empty(top):
            for name in names:
                _flatten(top, name, device, folder)
    finally:
        os.close(top)
    folder.rmdir()


def _empty(folder: int) -> list[str]:
    """Unlink what is no folder; the names of the folders."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _flatten(top: int, name: str, device: int, where: Path) -> None:
    """Remove one folder; those in it come to stand beside it."""
    inner = os.open(name, FLAGS, dir_fd=top)
    try:
        if os.fstat(inner).st_dev != device:
            raise _mounted(f"{where}/{name}")
        for below in _empty(inner):
            try:
                fresh = f".{secrets.token_hex(8)}"
                os.rename(below, fresh, src_dir_fd=inner, dst_dir_fd=top)
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EXDEV):
                    raise
                raise _mounted(f"{where}/{name}/{below}") from error
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _mounted(path: str) -> Conflict:
    return Conflict(f"remove: {path}: something is mounted there; unmount it")
