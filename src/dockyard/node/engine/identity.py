"""Turns USER words into numbers, by the passwd and group files of the container's own root."""

from __future__ import annotations

import os

from dockyard.base.errors import Conflict
from dockyard.base.oci.users import User, find_user, resolve_user
from dockyard.node.engine import layerfile


def at_start(text: str, upper: str, layers: tuple[str, ...], groups: tuple[str, ...] = ()) -> User:
    """Before a start: what the container changed when it last ran counts."""
    changed = (upper,) if os.path.isdir(f"{upper}/etc") else ()
    passwd, group = (
        layerfile.read_file((*changed, *layers), f"etc/{name}") for name in ("passwd", "group")
    )
    return resolve_user(text, passwd, group, groups)


def inside(text: str, pid: int, groups: tuple[str, ...] = ()) -> User:
    """In a container that runs: as its programs see the files now."""
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise Conflict("the container is not running: its first process has ended") from None
    try:
        return find_user(root, text, groups)
    finally:
        os.close(root)
