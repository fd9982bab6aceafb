"""Turns a container's changes of its root into a list: added, changed, deleted.

What the runtime makes in it to mount things on is nobody's change: Docker has those names in a
layer of its own.
"""

from __future__ import annotations

from dockyard.base.linux.overlay import NATIVE
from dockyard.base.linux.treechanges import ADDED, CHANGED, DELETED, Change, changes
from dockyard.node.engine import refresh, roots
from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts

__all__ = ["ADDED", "CHANGED", "DELETED", "OURS", "Change", "diff", "of"]

OURS = frozenset(
    ("/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/etc", "/etc/hostname",  # noqa: S108
     "/etc/hosts", "/etc/resolv.conf", "/proc", "/sys", "/sbin", "/sbin/docker-init")
)  # fmt: skip


def diff(parts: Parts, reference: str) -> list[Change]:
    """The changes, each folder before what is in it."""
    return of(parts, refresh.find(parts, reference))


def of(parts: Parts, container: Container) -> list[Change]:
    """As :func:`diff`, of a container that was found."""
    layers = roots.layers_of(parts.images, container.image_id, container.config.rootfs)
    whole = container.driver == NATIVE
    return changes(parts.places.upper(container.id), layers, whole=whole, ours=OURS)
