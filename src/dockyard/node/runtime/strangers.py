"""Turns a mount namespace that is another's into a place where a container's root can be made.

Whoever lives in there is moved along by pivot_root(2), as with runc and crun: it is for namespaces
that somebody has made for the container.
"""

from __future__ import annotations

import contextlib
import os

from dockyard.base.errors import Denied


def load() -> None:
    """Import what making a root may need: in there the files of this program need not be."""
    from dockyard.base.linux import mountapi, mounttable  # noqa: F401
    from dockyard.node.runtime import copyup, idmapped  # noqa: F401


def check(namespace: int, path: str) -> None:
    """Refuse the caller's own namespace and the machine's: a root made there is everybody's."""
    found = os.fstat(namespace)
    for process in ("self", "1"):
        with contextlib.suppress(PermissionError, FileNotFoundError):
            own = os.stat(f"/proc/{process}/ns/mnt")
            if (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino):
                raise Denied(
                    f"config: linux.namespaces: mount: {path}: the mount namespace of this machine:"
                    " a root made there would be everybody's. Leave the path out, or the entry"
                )
