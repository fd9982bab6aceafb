"""Turns what the database says of a container into what is true now.

A monitor knows how its container is; where none answers, the container has ended, and the monitor
has written how. A monitor that was killed takes its container with it: nobody saw that end.
"""

from __future__ import annotations

from dockyard.base.errors import Unavailable
from dockyard.interfaces.ociruntime import State
from dockyard.node.engine import event, policy
from dockyard.node.engine.clear import clear, disconnect, has_own_network
from dockyard.node.engine.config import (
    ALIVE,
    CREATED,
    EXITED,
    PAUSED,
    RESTARTING,
    RUNNING,
    STARTING,
    Container,
)
from dockyard.node.engine.parts import Parts

KILLED = 137
STATES = {"running": RUNNING, "paused": PAUSED}


def find(parts: Parts, reference: str) -> Container:
    """A container by id, the beginning of one, or name; as it is now."""
    return refresh(parts, parts.database.find(reference))


def refresh(parts: Parts, container: Container) -> Container:
    """The container as it is now; the database learns of it."""
    if container.status == STARTING:
        return container._replace(status=CREATED)
    if not container.alive:
        return container
    try:
        state = parts.runtime.state(parts.places.run(container.id))
    except Unavailable:  # its monitor hangs: what was known last stands
        return container
    return _become(parts, container, state)


def refresh_all(parts: Parts, containers: list[Container]) -> list[Container]:
    """Every container as it is now. Their monitors are asked at once."""
    alive = [container for container in containers if container.alive]
    states = parts.runtime.states_of([parts.places.run(container.id) for container in alive])
    told = {each.id: state for each, state in zip(alive, states, strict=True) if state}
    return [
        _become(parts, each, told[each.id]) if each.id in told
        else each._replace(status=CREATED) if each.status == STARTING else each
        for each in containers
    ]  # fmt: skip


def _become(parts: Parts, container: Container, state: State) -> Container:
    if found := STATES.get(state.status):
        return container._replace(status=found)
    with parts.locks.hold(container.id):
        latest = parts.database.get(container.id)
        if latest is None:  # it was removed meanwhile
            return ended(parts, container)
        if latest.status not in ALIVE or latest.started != container.started:
            return latest
        return record_exit(parts, latest)


def ended(parts: Parts, container: Container) -> Container:
    """The container with how it ended."""
    found = parts.runtime.exit(parts.places.state(container.id))
    return container._replace(
        status=EXITED,
        pid=0,
        exit_code=found.code if found else KILLED,
        oom_killed=found.oom_killed if found else False,
        finished=found.finished if found else parts.clock(),
        address="",
        gateway="",
        mac="",
        prefix=0,
        ports=(),
    )


def _health(parts: Parts, container: Container) -> list[event.Event]:
    if container.config.health is None:
        return []
    from dockyard.node.engine import health  # most containers do without

    return health.news(parts, container)


def record_exit(parts: Parts, container: Container) -> Container:
    """Write down an end, and give back the address. Under the container's lock."""
    last = ended(parts, container)
    delay = policy.delay(last)
    if delay is not None:
        last = last._replace(status=RESTARTING, delay=delay)
    if parts.runtime.exit(parts.places.state(container.id)) is None:
        clear(parts, container, connected=True)
    else:
        disconnect(parts, container)
    told = _health(parts, last)
    if told:
        last = last._replace(health_seen=told[-1].time)
    told += event.died(last)
    if has_own_network(last.config):
        told.append(event.connected(last, "disconnect", last.finished))
    parts.database.update(last, *told)
    return last
