"""Turns a container into nothing: what it has in the kernel, on disk and in the database."""

from __future__ import annotations

import os

from dockyard.base import contexts
from dockyard.base.errors import Conflict, DockyardError, NotFound
from dockyard.node.engine import event, launch, refresh, waiting
from dockyard.node.engine.clear import clear
from dockyard.node.engine.config import (
    CREATED,
    CREATING,
    EXITED,
    REMOVING,
    RESTARTING,
    Container,
)
from dockyard.node.engine.parts import Parts
from dockyard.node.engine.tree import remove_tree


def remove(parts: Parts, reference: str, *, force: bool, volumes: bool) -> None:
    """Raises :class:`Conflict` for one that runs, unless forced."""
    container = parts.database.find(reference) if force else refresh.find(parts, reference)
    if (container.alive or container.status == RESTARTING) and not force:
        state = container.status
        advice = (
            "unpause and then stop the container before removing or force remove"
            if state == "paused"
            else "stop the container before removing or force remove"
        )
        raise Conflict(
            f'cannot remove container "/{container.name}": container is {state}: {advice}'
        )
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        if latest is None:  # somebody else was faster
            return
        if latest.alive and not force:
            raise Conflict(f'cannot remove container "/{container.name}": it was just started')
        erase(parts, latest, volumes=volumes)


def _remove_folder(path: str) -> None:
    try:
        remove_tree(path)
    except PermissionError:
        if os.geteuid() == 0:
            raise
        from dockyard.node.engine import rootless

        rootless.remove_tree(path)


def erase(parts: Parts, container: Container, *, volumes: bool) -> None:
    """Under its lock. What a crash leaves half done is done again: the row goes last."""
    kept = container if volumes else container._replace(own_volumes=())
    parts.database.update(kept._replace(status=REMOVING))
    if container.alive and launch.aftermath(parts, container, attached=False):
        with contexts.suppress(DockyardError):  # it has just ended
            parts.runtime.watch(parts.places.run(container.id), ())
    # what is created was never connected, and what has exited is so no more
    connected = container.status not in (CREATED, EXITED)
    clear(parts, container, connected=connected)
    _remove_folder(parts.places.state(container.id))
    if container.config.image:
        parts.images.release(container.id)
    for name in kept.own_volumes:
        with contexts.suppress(NotFound):
            parts.volumes.remove(name)
    whole = container.status != CREATING  # of one that never was, nothing is told
    told = (event.of(container, "destroy", parts.clock()),) if whole else ()
    parts.database.delete(container.id, *told, lasting=not container.config.auto_remove)
    parts.locks.forget(container.id)
    if container.config.restart.name not in ("no", ""):
        waiting.forget(parts, container.id)
