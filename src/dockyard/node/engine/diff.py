"""Turns a container's changes of its root into a list: added, changed, deleted.

What the runtime makes in it to mount things on is nobody's change: Docker has those names in a
layer of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard.node.engine import merge, refresh, roots
from dockyard.node.engine.parts import Parts

ADDED, CHANGED, DELETED = "A", "C", "D"
OURS = frozenset(
    ("/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/etc", "/etc/hostname",  # noqa: S108
     "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys", "/sbin", "/sbin/docker-init")
)  # fmt: skip


class Change(NamedTuple):
    """One path of the container."""

    kind: str
    """``A``, ``C`` or ``D``."""
    path: str


def diff(parts: Parts, reference: str) -> list[Change]:
    """The changes, each folder before what is in it."""
    container = refresh.find(parts, reference)
    layers = roots.layers_of(parts.images, container.image_id, container.config.rootfs)
    return changes(parts.places.upper(container.id), layers)


def changes(upper: str, layers: Sequence[str]) -> list[Change]:
    """What an upper directory changes of layers, topmost first."""
    top = os.open(upper, merge.FOLDER)
    try:
        with merge.opened(layers) as below:
            return [*_folder(top, below, "")]
    finally:
        os.close(top)


def _folder(upper: int, below: tuple[int, ...], path: str) -> Iterator[Change]:
    here = sorted(os.listdir(upper))
    for name in here:
        found = os.stat(name, dir_fd=upper, follow_symlinks=False)
        before = merge.find(below, name)
        inner = f"{path}/{name}"
        if merge.is_whiteout(found):
            yield Change(DELETED, inner)
        elif stat.S_ISDIR(found.st_mode):
            yield from _subfolder(upper, below, found, before, inner)
        elif not (inner in OURS and stat.S_ISREG(found.st_mode) and not found.st_size):
            yield Change(CHANGED if before else ADDED, inner)
    if below and merge.is_opaque(upper):
        for name in merge.names(below):
            if name not in here and merge.find(below, name):
                yield Change(DELETED, f"{path}/{name}")


def _subfolder(
    upper: int,
    below: tuple[int, ...],
    found: os.stat_result,
    before: merge.Found | None,
    path: str,
) -> Iterator[Change]:
    name = os.path.basename(path)
    child = os.open(name, merge.FOLDER, dir_fd=upper)
    try:
        with merge.enter(below, name) as inner_layers:
            inner = [*_folder(child, inner_layers, path)]
            ours_only = not inner and bool(os.listdir(child))
    finally:
        os.close(child)
    if before is None or not stat.S_ISDIR(before.stat.st_mode):
        if inner or path not in OURS:
            yield Change(CHANGED if before else ADDED, path)
    elif inner or _differs(found, before.stat, times=not ours_only):
        yield Change(CHANGED, path)
    yield from inner


def _differs(found: os.stat_result, before: os.stat_result, *, times: bool) -> bool:
    """Whether a folder that was copied up is another than before."""
    return (
        (found.st_mode, found.st_uid, found.st_gid)
        != (before.st_mode, before.st_uid, before.st_gid)
        or (times and found.st_mtime_ns != before.st_mtime_ns)
    )  # fmt: skip
