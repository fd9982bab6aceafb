"""Turns a folder into nothing, or into its size: by descriptors, following no link and crossing no
mount."""

from __future__ import annotations

import os
import stat

from dockyard.base import contexts
from dockyard.base.linux.openat2 import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.base.linux.treechanges import Change


FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(path: str) -> None:
    """Remove a folder and all that is in it; one that is gone is fine.

    Raises ``OSError``, for a mount that somebody has made inside too: nothing beyond it is touched.
    """
    above, _, name = path.rstrip("/").rpartition("/")
    try:
        parent = os.open(above, FOLDER | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with contexts.suppress(FileNotFoundError):
            _remove_folder(parent, name)
    finally:
        os.close(parent)


def _remove_folder(parent: int, name: str) -> None:
    folder = openat2(parent, name, FOLDER, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS)
    try:
        with os.scandir(folder) as entries:
            # an entry's type is read with the folder, and openat2 refuses one that has changed
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for entry, is_folder in found:
            if is_folder:
                _remove_folder(folder, entry)
            else:
                with contexts.suppress(FileNotFoundError):
                    os.unlink(entry, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)


def size(path: str) -> int:
    """Bytes of the files below a folder, each counted once, and without the folders, as Docker
    counts; no link is followed and no mount entered."""
    total = 0
    try:
        root = os.open(path, FOLDER | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    pending, seen = [root], set[tuple[int, int]]()
    try:
        while pending:
            folder = pending.pop()
            try:
                total += _size(folder, pending, seen)
            finally:
                os.close(folder)
    finally:
        for folder in pending:
            os.close(folder)
    return total


def size_of(path: str, changes: Iterable[Change]) -> int:
    """Bytes of the files below a folder that were added or changed."""
    from dockyard.base.linux.treechanges import DELETED  # a container that ends needs none of it

    total = 0
    root = os.open(path, FOLDER | os.O_CLOEXEC)
    try:
        for change in changes:
            if change.kind != DELETED:
                total += _size_at(root, change.path.strip("/"))
    finally:
        os.close(root)
    return total


def _size_at(root: int, path: str) -> int:
    try:
        found = openat2(root, path or ".", os.O_PATH | os.O_NOFOLLOW, RESOLVE_NO_SYMLINKS)
    except OSError:  # it has gone meanwhile, or is a link
        return 0
    try:
        status = os.fstat(found)
        return 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    finally:
        os.close(found)


def _size(folder: int, pending: list[int], seen: set[tuple[int, int]]) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                flags = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS
                pending.append(openat2(folder, entry.name, FOLDER, flags))
                continue
            found = entry.stat(follow_symlinks=False)
            if found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                total += found.st_size
            seen.add((found.st_dev, found.st_ino))
    return total
