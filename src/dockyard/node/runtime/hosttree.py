"""Turns a root into a tree of mounts among the host's own, and that tree back into nothing.

For a container without a mount namespace. Nothing of the tree spreads to other namespaces, but what
is mounted stays mounted when its processes end: whoever looks after the container removes it.
"""

from __future__ import annotations

import errno
import os

from dockyard.base import contexts
from dockyard.base.errors import Denied
from dockyard.base.linux import syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.mountoptions import MS_BIND, MS_PRIVATE, MS_REC
from dockyard.base.oci.runtimespec import Spec


def path_of(spec: Spec) -> str:
    """Where a container's tree lies among the host's mounts; empty: it has a namespace for it."""
    return "" if "mount" in spec.namespaces else os.path.realpath(spec.root)


def begin(path: str) -> None:
    """Lay the folder over itself, as a mount whose mounts nobody else sees."""
    if path == "/":
        raise Denied("root.path: /: without a mount namespace the host's own root is no root for a "
                     "container: its mounts would lie over the host's")  # fmt: skip
    syscalls.mount(path, path, None, MS_BIND | MS_REC)
    root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.set_mount(root, propagation=MS_PRIVATE, recursive=True)
    finally:
        os.close(root)


def enter(root: int) -> None:
    """Make the tree this process's root: chroot(2), for pivot_root(2) would move everybody's."""
    through("fchdir", os.fchdir, root)
    through("chroot", os.chroot, ".")
    through("chdir", os.chdir, "/")


def count(path: str) -> int:
    """How many mounts lie on a path, one over the other."""
    from dockyard.base.linux import mounttable

    return sum(row.point == path for row in mounttable.read())


def remove(path: str, kept: int = 0) -> None:
    """Unmount what lies on the path, with all below it, but for the ``kept`` lowest. Idempotent."""
    for _ in range(kept, count(path)):
        with contexts.suppress(FileNotFoundError):
            _umount(path)


def _umount(path: str) -> None:
    try:
        syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.EINVAL:  # else somebody else was faster
            raise
