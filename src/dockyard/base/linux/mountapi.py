"""Turns a file system's name and parameters into a mount that lies nowhere yet (fsopen(2)).

Linux 5.2, idmapped mounts 5.12. A mount ends with its descriptor unless it is put somewhere
(``syscalls.put_tree``).
"""

from __future__ import annotations

import os

from dockyard.base.linux import foreign
from dockyard.base.linux.door import Bits, call
from dockyard.base.linux.syscalls import MountAttributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7
MOUNT_ATTR_IDMAP = 0x00100000
MOUNT_ATTR_NOSYMFOLLOW = 0x00200000

_CLOEXEC = 1
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000


def open_file_system(kind: str) -> int:
    """A context to configure: fsopen(2)."""
    return call("fsopen", kind, Bits(_CLOEXEC))


def configure(context: int, name: str, value: str | int | None = None) -> None:
    """One parameter: a text, a descriptor, or a word alone: fsconfig(2)."""
    if value is None:
        call("fsconfig", context, FSCONFIG_SET_FLAG, name, None, 0)
    elif isinstance(value, int):
        call("fsconfig", context, FSCONFIG_SET_FD, name, None, value)
    else:
        call("fsconfig", context, FSCONFIG_SET_STRING, name, value, 0)


def create(context: int) -> None:
    """Make the file system: fsconfig(2), FSCONFIG_CMD_CREATE."""
    call("fsconfig", context, FSCONFIG_CMD_CREATE, None, None, 0)


def mount(context: int, attributes: int = 0) -> int:
    """A mount of what :func:`create` made, with ``MOUNT_ATTR_*``: fsmount(2)."""
    return call("fsmount", context, Bits(_CLOEXEC), Bits(attributes))


def new_mount(
    kind: str, parameters: Iterable[tuple[str, str | int | None]], attributes: int = 0
) -> int:
    """A descriptor of a new mount. What the kernel has against it is in the error."""
    context = open_file_system(kind)
    try:
        try:
            for name, value in parameters:
                configure(context, name, value)
            create(context)
            return mount(context, attributes)
        except OSError as error:
            said = complaints(context)
            raise type(error)(error.errno, f"{error.strerror}{said and f' ({said})'}") from None
    finally:
        os.close(context)


def complaints(context: int) -> str:
    """What the kernel says about a context that it refused: fsopen(2), one message a read."""
    lines = []
    while True:
        try:
            lines.append(os.read(context, 4096).decode(errors="replace").strip())
        except OSError:  # ENODATA: no more
            return "; ".join(lines)


def map_ids(tree: int, userns: int, *, recursive: bool) -> None:
    """Shift the owners that a detached mount shows, by a user namespace's mappings.

    mount_setattr(2), MOUNT_ATTR_IDMAP. ``EINVAL``: the file system has no such thing.
    """
    attributes = MountAttributes(MOUNT_ATTR_IDMAP, 0, 0, userns)
    flags = Bits(_AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0))
    call("mount_setattr", tree, "", flags, attributes, foreign.sizeof(attributes))
