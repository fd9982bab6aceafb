"""Turns layers and an empty upper directory into a tree that can be written to, by any driver."""

import os
from collections.abc import Sequence

from dockyard.base.linux import fuseoverlay, mergedtree, syscalls, treecopy, whiteouts
from dockyard.base.linux.overlay import FOLDER, FUSE, NATIVE, open_overlay
from dockyard.base.oci.mountoptions import MS_BIND


def fill(lower: Sequence[str], upper: str, driver: str) -> None:
    """Put into an empty upper directory what its driver begins with."""
    if driver == NATIVE:
        treecopy.copy(lower, upper)


def open_view(lower: Sequence[str], upper: str, work: str, at: str, driver: str) -> int:
    """A descriptor of the merged tree; closing it ends it. Nobody wants what is written to it."""
    fill(lower, upper, driver)
    return open_overlay(lower, upper, work, at, driver)


def mount_view(lower: Sequence[str], upper: str, work: str, at: str, driver: str) -> None:
    """As :func:`open_view`, on a directory; whoever asks unmounts it."""
    if driver == NATIVE:
        fill(lower, upper, driver)
        syscalls.mount(upper, at, None, MS_BIND)
        return
    if driver == FUSE:
        tree = fuseoverlay.open_tree(lower, upper, work)
        try:
            place = os.open(at, FOLDER)
            try:
                syscalls.put_tree(tree, place)
            finally:
                os.close(place)
        finally:
            os.close(tree)
        return
    opened: list[int] = []
    try:
        for each in (upper, work, *lower):
            opened.append(os.open(each, FOLDER))  # noqa: PERF401 - those before are closed too
        first, second, *rest = (f"/proc/self/fd/{each}" for each in opened)
        data = f"lowerdir={':'.join(rest)},upperdir={first},workdir={second}"
        syscalls.mount("overlay", at, "overlay", 0, data)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def settle(upper: str) -> None:
    """Give the marks of an upper directory, which fuse-overlayfs has written, the form that
    unpacking a layer gives them here."""
    top = os.open(upper, mergedtree.FOLDER)
    try:
        _settle(top)
    finally:
        os.close(top)


def _settle(folder: int) -> None:
    names = os.listdir(folder)
    marks = {name for name in names if whiteouts.is_mark(folder, name)}
    opaque = whiteouts.is_opaque(folder)
    for name in marks:
        os.unlink(name, dir_fd=folder)
    if opaque:
        whiteouts.make_opaque(folder)
    for name in marks:
        hidden = whiteouts.hidden_by(name)
        if hidden and hidden not in names:
            whiteouts.hide(folder, hidden)
    with os.scandir(folder) as entries:
        folders = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    for name in folders:
        inner = os.open(name, mergedtree.FOLDER, dir_fd=folder)
        try:
            kept = os.fstat(inner)
            _settle(inner)
            os.utime(inner, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        finally:
            os.close(inner)
