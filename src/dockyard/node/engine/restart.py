"""Turns a container's end into its next start, where its policy wants one, after a growing delay.

A monitor executes :func:`after_exit` (in a process of its own) when its container has ended.
"""

from __future__ import annotations

from dockyard.base.errors import NotFound
from dockyard.node.engine import refresh, remove, start, waiting
from dockyard.node.engine.config import EXITED, RESTARTING, STARTING, Container
from dockyard.node.engine.parts import Parts


def after_exit(parts: Parts, container_id: str) -> None:
    """What the monitor of a container asks for when that has ended."""
    with waiting.awaited(parts, container_id) as fifo:
        try:
            container = refresh.find(parts, container_id)
        except NotFound:
            return
        if container.status == RESTARTING:
            waiting.wait(
                fifo, min(container.delay, container.finished + container.delay - parts.clock())
            )
    if container.status == RESTARTING:
        again(parts, container)
    elif container.status == EXITED and container.config.auto_remove:
        with parts.locks.hold(container_id):
            latest = parts.database.get(container_id)
            if latest is not None and latest.status == EXITED:
                remove.erase(parts, latest, volumes=True)


def again(parts: Parts, container: Container) -> None:
    """Start it, unless somebody has done something else with it meanwhile."""
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        if latest is None or latest.status != RESTARTING or latest.finished != container.finished:
            return
        parts.database.update(latest._replace(status=STARTING))
        before = latest._replace(status=EXITED, restarts=latest.restarts + 1)
        start.begin(parts, before, attach=False)


def give_up(parts: Parts, container_id: str) -> Container | None:
    """Nobody shall start it any more: the container, if it was about to be."""
    with parts.locks.hold(container_id):
        latest = parts.database.get(container_id)
        if latest is None or latest.status != RESTARTING:
            return None
        latest = latest._replace(status=EXITED, stopped=True)
        parts.database.update(latest)
    waiting.nudge(parts, container_id)
    return latest
