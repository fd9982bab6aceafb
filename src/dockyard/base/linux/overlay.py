"""Turns layers and an upper directory into the descriptor of their merged tree (overlayfs).

The mount lies nowhere and lives as long as its descriptor: nobody else sees it, nothing has to be
unmounted afterwards, and a process that is killed leaves none.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.errors import Invalid
from dockyard.base.linux import mountapi, syscalls
from dockyard.base.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


LONGEST_DATA = 4095
"""mount(2) takes one page of data."""
MOST_LAYERS = 500
"""OVL_MAX_STACK of the kernel's fs/overlayfs."""
LONGEST_PARAMETER = 255
"""fsconfig(2) takes as many characters."""
OVERLAY, FUSE, NATIVE = "overlay2", "fuse-overlayfs", "native"
"""Ways to have a tree that can be written to on layers that can't: the kernel's, a program's, and a
copy of all."""
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def open_overlay(
    lower: Sequence[str], upper: str, work: str, at: str, driver: str = OVERLAY
) -> int:
    """A descriptor of the merged root; closing it ends the mount.

    ``lower`` topmost first; ``at`` is an empty directory that is mounted over for a moment where
    there are more layers than a mount that lies nowhere takes. ``driver``: with :data:`NATIVE` all
    is in ``upper``.
    """
    if driver == NATIVE:
        return os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if driver == FUSE:
        from dockyard.base.linux.fuseoverlay import open_tree

        served = open_tree(lower, upper, work)
        return _opened(f"/proc/self/fd/{served}/.", served)
    opened: list[int] = []
    try:
        for folder in (upper, work, *lower):
            opened.append(os.open(folder, FOLDER))  # noqa: PERF401 - those before are closed too
        upper_path, work_path, *lower_paths = (f"/proc/self/fd/{each}" for each in opened)
        layers = ":".join(lower_paths)
        if len(layers) <= LONGEST_PARAMETER:
            tree = mountapi.new_mount(
                "overlay",
                (("lowerdir", layers), ("upperdir", upper_path), ("workdir", work_path)),
            )
            return _opened(f"/proc/self/fd/{tree}/.", tree)
        data = f"lowerdir={layers},upperdir={upper_path},workdir={work_path}"
        if len(data) > LONGEST_DATA:
            tree = many_layers(lower_paths, upper_path, work_path)
            return _opened(f"/proc/self/fd/{tree}/.", tree)
        syscalls.mount("overlay", at, "overlay", 0, data)
        try:
            return _opened(at, -1)
        finally:
            syscalls.umount(at, syscalls.MNT_DETACH)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def unmark(work: str) -> None:
    """Let an upper directory be mounted again that was in a volatile mount, which the kernel has
    marked: it may have lost what it held. Whoever knows that the machine has not stopped meanwhile
    says so (overlayfs.rst, "Volatile mount")."""
    mark = os.path.join(work, "work", "incompat", "volatile")
    with suppress(FileNotFoundError):
        os.unlink(f"{mark}/dirty")
    with suppress(FileNotFoundError):
        os.rmdir(mark)


def many_layers(lower: Sequence[str], upper: str, work: str, extra: str = "") -> int:
    """A mount that lies nowhere, of more layers than mount(2)'s page has room for: each is a
    parameter of its own (Linux 6.5). ``extra``: further options, with commas between."""
    if len(lower) > MOST_LAYERS:
        raise Invalid(f"overlay: {len(lower)} layers: the kernel takes {MOST_LAYERS} at most")
    parameters: list[tuple[str, str | None]] = [("lowerdir+", path) for path in lower]
    parameters += [("upperdir", upper), ("workdir", work)]
    for option in filter(None, extra.split(",")):
        name, equals, value = option.partition("=")
        parameters.append((name, value if equals else None))
    try:
        return mountapi.new_mount("overlay", parameters)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Invalid(
            f"overlay: {len(lower)} layers: more than mount(2) takes, and this kernel has no other "
            f"way (Linux 6.5): {error.strerror}"
        ) from error


def _opened(path: str, tree: int) -> int:
    """A descriptor that can be listed: fsmount(2) gives one that is a place alone."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        if tree >= 0:
            os.close(tree)
