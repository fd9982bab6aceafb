"""Turns a stack of layers into one tree, folder by folder, as overlayfs would show it, unmounted.

Everything is opened by descriptor and no link is followed: what is in the layers is a stranger's.
The form of whiteouts and opaque folders is overlayfs' own (overlayfs.rst).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard.base.linux.opaque import OPAQUE

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """One name of a merged folder."""

    name: str
    stat: os.stat_result
    folder: int
    """Descriptor of the layer's folder that it lies in."""


@contextlib.contextmanager
def opened(paths: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Descriptors of layers' roots, topmost first."""
    descriptors: list[int] = []
    try:
        for path in paths:
            descriptors.append(os.open(path, FOLDER))
            if is_opaque(descriptors[-1]):
                break
        yield tuple(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def names(layers: Sequence[int]) -> list[str]:
    """Every name that a merged folder has, or has hidden, sorted."""
    return sorted({name for layer in layers for name in os.listdir(layer)})


def find(layers: Sequence[int], name: str) -> Found | None:
    """What a merged folder has under a name."""
    for layer in layers:
        try:
            found = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except FileNotFoundError:
            continue
        return None if is_whiteout(found) else Found(name, found, layer)
    return None


@contextlib.contextmanager
def enter(layers: Sequence[int], name: str) -> Iterator[tuple[int, ...]]:
    """The folders that merge into a folder's folder; none where there is no such folder."""
    descriptors: list[int] = []
    try:
        for layer in layers:
            try:
                found = os.stat(name, dir_fd=layer, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(found.st_mode):
                break
            descriptors.append(os.open(name, FOLDER, dir_fd=layer))
            if is_opaque(descriptors[-1]):
                break
        yield tuple(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def is_whiteout(found: os.stat_result) -> bool:
    """Whether it says that what lies below is gone: a character device 0:0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(folder: int) -> bool:
    """Whether a folder hides the ones below."""
    try:
        return os.getxattr(folder, OPAQUE) == b"y"
    except OSError:
        return False
