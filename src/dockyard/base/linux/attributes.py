"""Turns a file into its extended attributes (xattr(7)), and lays them onto its copy.

overlayfs' own are never among them: they say how a layer is stacked, not what a file is.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.linux import whiteouts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


CAPABILITY = "security.capability"
ACLS = ("system.posix_acl_access", "system.posix_acl_default")
CARRIED = ("user.", CAPABILITY, "system.posix_acl_")
"""What an image or a volume keeps of a file; others speak of this host."""


def of(file: int) -> dict[str, bytes]:
    """All of an open file's, sorted by name; none where its file system keeps none."""
    try:
        names = os.listxattr(file)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}
    found: dict[str, bytes] = {}
    for name in sorted(names):
        if not name.startswith(whiteouts.OVERLAYS):
            try:
                found[name] = os.getxattr(file, name)
            except OSError as error:
                if error.errno != errno.ENODATA:  # taken away meanwhile
                    raise
    return found


def carried(file: int) -> list[tuple[str, bytes]]:
    """Those that go with a file wherever it goes."""
    return [(name, value) for name, value in of(file).items() if name.startswith(CARRIED)]


def give(file: int, found: Iterable[tuple[str | bytes, bytes]]) -> None:
    """Lay attributes onto an open file; a file system that keeps none leaves them out, as docker's
    store does."""
    for name, value in found:
        try:
            os.setxattr(file, name, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
