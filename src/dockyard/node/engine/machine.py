"""Turns a machine's start and its shutdown into those of the containers that run while it does.

Docker's daemon does this when it starts and ends; without one, `dockyard system start` and `stop`.
"""

from __future__ import annotations

from typing import NamedTuple

from dockyard.base.errors import DockyardError
from dockyard.node.engine import end, policy, refresh, restart, start
from dockyard.node.engine.config import EXITED, RESTARTING, Container
from dockyard.node.engine.parts import Parts


class Outcome(NamedTuple):
    """What came of one container."""

    container: Container
    error: str
    """Empty: it has started, or ended."""


def starting(parts: Parts, owner: str) -> list[Container]:
    """An owner's containers whose policies start them now, the oldest first."""
    found = [refresh.refresh(parts, each) for each in parts.database.all() if each.owner == owner]
    return sorted(filter(policy.due_at_start, found), key=lambda each: each.created)


def start_one(parts: Parts, container: Container) -> Outcome:
    """Start it; one that waits to be started again, at once."""
    try:
        if container.status == RESTARTING:
            restart.again(parts, container)
        else:
            start.start(parts, container.id, attach=False)
    except DockyardError as error:
        return Outcome(container, str(error))
    return Outcome(container, "")


def running(parts: Parts, owner: str) -> list[Container]:
    """An owner's containers that run, or are about to again."""
    found = [refresh.refresh(parts, each) for each in parts.database.all() if each.owner == owner]
    return [each for each in found if each.alive or each.status == RESTARTING]


def stop_one(parts: Parts, container: Container, seconds: float | None) -> Outcome:
    """End it as `stop` does. Nobody has asked for that: its policy starts it again with the
    machine."""
    try:
        end.stop(parts, container.id, seconds, 0)
    except DockyardError as error:
        return Outcome(container, str(error))
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        if latest is not None and latest.status == EXITED:
            parts.database.update(latest._replace(stopped=container.stopped))
    return Outcome(container, "")
