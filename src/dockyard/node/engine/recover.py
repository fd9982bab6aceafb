"""Turns what a crash has left into whole containers, or nothing.

Each change of several steps is written down before its first step, and its author holds the
container's lock. A change without a holder was cut off: a making and a removal end in nothing, a
start is taken back.
"""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.errors import DockyardError
from dockyard.node.engine import policy, refresh, remove, restart, start, waiting
from dockyard.node.engine.config import (
    CREATED,
    CREATING,
    EXITED,
    REMOVING,
    RESTARTING,
    STARTING,
    Container,
)
from dockyard.node.engine.parts import Parts
from dockyard.node.engine.tree import remove_tree


def finish(parts: Parts) -> None:
    """End every change that was cut off. Cheap where there is none."""
    for container_id in parts.database.unfinished():
        with parts.locks.hold_if_free(container_id) as free:
            container = parts.database.get(container_id) if free else None
            if container is not None:
                _finish(parts, container)


def _finish(parts: Parts, container: Container) -> None:
    was_to_vanish = container.status == STARTING and container.config.auto_remove
    if container.status in (CREATING, REMOVING) or was_to_vanish:
        remove.erase(parts, container, volumes=True)
    elif container.status == STARTING:
        before = EXITED if container.finished else CREATED
        if container.finished and policy.delay(container) is not None:
            before = RESTARTING  # its policy was about to: `resume` does it
        start.undo(parts, container._replace(status=before), None)


def collect(parts: Parts, owner: str) -> None:
    """Remove an owner's containers that were to go with their end, when nobody saw it."""
    for container in parts.database.vanishing(owner):
        if refresh.refresh(parts, container).status == EXITED:
            with parts.locks.hold_if_free(container.id) as free:
                latest = parts.database.get(container.id) if free else None
                if latest is not None and latest.status == EXITED:
                    remove.erase(parts, latest, volumes=True)


def resume(parts: Parts, owner: str) -> None:
    """Start an owner's containers that somebody was about to start again, and nobody does: their
    monitor was killed, or the machine started anew."""
    for container in parts.database.policed(owner):
        latest = refresh.refresh(parts, container)
        if latest.status == RESTARTING and not waiting.is_awaited(parts, latest.id):
            with contexts.suppress(DockyardError):  # its row says why it does not start
                restart.again(parts, latest)


def reconcile(parts: Parts) -> None:
    """All of it, for a daemon that starts: dead monitors, and folders that no row names."""
    finish(parts)
    for container in parts.database.all():
        refresh.refresh(parts, container)
    try:
        names = os.listdir(parts.places.containers)
    except FileNotFoundError:
        return
    known = parts.database.ids()
    for name in names:
        if len(name) == 64 and name not in known:
            _remove_stray(parts, name)


def _remove_stray(parts: Parts, container_id: str) -> None:
    with parts.locks.hold_if_free(container_id) as free:
        if not free or parts.database.get(container_id) is not None:
            return
        places = parts.places
        root = places.root(container_id)
        parts.runtime.delete(places.run(container_id), places.cgroup(container_id), root)
        parts.network.detach(container_id)
        parts.images.release(container_id)
        remove_tree(places.state(container_id))
        parts.locks.forget(container_id)
