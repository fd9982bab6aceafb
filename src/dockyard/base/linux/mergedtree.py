"""Turns a stack of layers into one tree, folder by folder, as overlayfs would show it, unmounted.

Everything is opened by descriptor and no link is followed: what is in the layers is a stranger's.
The forms of whiteouts and opaque folders are in :mod:`.whiteouts`.
"""

from __future__ import annotations

import os
import stat

from dockyard.base import contexts
from dockyard.base.linux import whiteouts
from dockyard.base.linux.whiteouts import is_device, is_opaque
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """One name of a merged folder."""

    name: str
    stat: os.stat_result
    folder: int
    """Descriptor of the layer's folder that it lies in."""


@contexts.contextmanager
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
    found = {name for layer in layers for name in os.listdir(layer)}
    marks = {name for name in found if name.startswith(whiteouts.PREFIX)}
    for name in marks:
        if any(_is_mark(layer, name) for layer in layers):
            found.remove(name)
    return sorted(found)


def find(layers: Sequence[int], name: str) -> Found | None:
    """What a merged folder has under a name."""
    for layer in layers:
        try:
            found = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except FileNotFoundError:
            if whiteouts.has_mark(layer, name):
                return None
            continue
        return None if is_device(found) else Found(name, found, layer)
    return None


@contexts.contextmanager
def enter(layers: Sequence[int], name: str) -> Iterator[tuple[int, ...]]:
    """The folders that merge into a folder's folder; none where there is no such folder."""
    descriptors: list[int] = []
    try:
        for layer in layers:
            try:
                found = os.stat(name, dir_fd=layer, follow_symlinks=False)
            except FileNotFoundError:
                if whiteouts.has_mark(layer, name):
                    break
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


def _is_mark(layer: int, name: str) -> bool:
    try:
        return whiteouts.is_mark(layer, name)
    except FileNotFoundError:
        return False
