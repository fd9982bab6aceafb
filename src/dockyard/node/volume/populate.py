"""Turns what a stack of layers has at a path into the first files of a volume.

Layers are read as overlayfs would merge them, by descriptors: no link of an image is followed out
of it, and nothing of the host is ever copied.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence

from dockyard.base.errors import Invalid
from dockyard.base.linux import attributes, mergedtree

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_LINKS = 40
"""Of one path, as the kernel's ELOOP has it."""
DEEPEST = 256

Stack = list[int]
"""Descriptors of one folder in each layer that has it, topmost first."""


def populate(target: str, layers: Sequence[str], path: str) -> bool:
    """Copy a folder of the merged tree into an empty one; whether there was any."""
    with contextlib.ExitStack() as opened:
        found = _resolve(layers, path, opened)
        if not found:
            return False
        destination = os.open(target, FOLDER)
        opened.callback(os.close, destination)
        _copy_folder(found, destination, 0)
        return True


def _resolve(layers: Sequence[str], path: str, opened: contextlib.ExitStack) -> Stack:
    """The folder at a path whose links are read with the layers as their root; empty for none."""
    waiting, walked, links = _parts(path), list[str](), 0
    root = [*opened.enter_context(mergedtree.opened(layers))]
    here = root
    while waiting:
        name = waiting.pop(0)
        if name == "..":
            waiting, walked, here = [*walked[:-1], *waiting], [], root
            continue
        kind = _top(here, name)
        if kind == stat.S_IFLNK:
            links += 1
            if links > MOST_LINKS:
                raise Invalid(f"volume: {path}: too many symbolic links in the image")
            link = _read_link(here, name)
            before = [] if link.startswith("/") else walked
            waiting, walked, here = [*before, *_parts(link), *waiting], [], root
        elif kind == stat.S_IFDIR:
            here = _enter(here, name, opened)
            walked.append(name)
        else:
            return []
    return here


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _keep(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _top(stack: Stack, name: str) -> int:
    """The type of a name in the topmost layer that has it; 0 where it is not, or hidden."""
    try:
        found = mergedtree.find(stack, name)
    except NotADirectoryError:
        return 0
    return stat.S_IFMT(found.stat.st_mode) if found else 0


def _read_link(stack: Stack, name: str) -> str:
    holder = mergedtree.find(stack, name)
    assert holder is not None
    return os.readlink(name, dir_fd=holder.folder)


def _enter(stack: Stack, name: str, opened: contextlib.ExitStack) -> Stack:
    """A folder in every layer that adds to it: down to one that is opaque, or no folder."""
    return [*opened.enter_context(mergedtree.enter(stack, name))]


def _names(stack: Stack) -> Iterator[tuple[str, int]]:
    """(name, the folder that shows it) of all that the merged folder shows."""
    for name in mergedtree.names(stack):
        if found := mergedtree.find(stack, name):
            yield name, found.folder


def _copy_folder(stack: Stack, target: int, depth: int) -> None:
    if depth > DEEPEST:
        raise Invalid(f"volume: the image has folders deeper than {DEEPEST}")
    for name, folder in _names(stack):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with contextlib.ExitStack() as opened:
                inner = _keep(opened, os.open(name, FOLDER, dir_fd=target))
                _copy_folder(_enter(stack, name, opened), inner, depth + 1)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(folder, name, target)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=folder), name, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(name, found.st_mode & 0o7777, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    _copy_metadata(stack[0], target)


def _copy_file(folder: int, name: str, target: int) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                     dir_fd=folder)  # fmt: skip
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        copy = os.open(name, flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(copy, source, None, 1 << 24):
                pass
            _copy_metadata(source, copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)


def _copy_metadata(source: int, target: int) -> None:
    """Owner, mode, attributes and times; in this order, for each may change the next."""
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    attributes.give(target, attributes.carried(source))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
