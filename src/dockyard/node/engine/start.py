"""Turns a container that does not run into one that does."""

from __future__ import annotations

from dockyard.base.errors import Conflict, DockyardError
from dockyard.interfaces.ociruntime import StartFailed, Stream
from dockyard.node.engine import etcfiles, event, hostnames, launch, refresh
from dockyard.node.engine.clear import clear, has_own_network
from dockyard.node.engine.config import (
    CREATED,
    CREATING,
    REMOVING,
    RESTARTING,
    RUNNING,
    STARTING,
    Container,
)
from dockyard.node.engine.event import Event
from dockyard.node.engine.network import Attachment
from dockyard.node.engine.parts import Parts

NOT_STARTED = 125
NOTHING = Attachment("", "", ())


def start(parts: Parts, reference: str, *, attach: bool) -> Stream | None:
    """The streams, if asked for; None for a container that runs already."""
    container = refresh.find(parts, reference)
    with parts.locks.hold(container.id):
        container = parts.database.find(container.id)
        if container.alive or container.status == RESTARTING:
            return None
        if container.status in (CREATING, REMOVING):
            raise Conflict(f"container is marked for removal and cannot be started: {container.id}")
        if container.status == STARTING:  # whoever began has crashed
            container = undo(parts, container._replace(status=CREATED), None)
        parts.database.update(container._replace(status=STARTING))
        fresh = container._replace(restarts=0, delay=0.0, stopped=False)
        return begin(parts, fresh, attach)


def begin(parts: Parts, container: Container, attach: bool) -> Stream | None:
    """Start a container whose row says so already. Under its lock. What fails is taken back:
    ``container`` is what the row will say then."""
    try:
        return _start(parts, container, attach)
    except BaseException as error:
        undo(parts, container, error)
        raise


def _start(parts: Parts, container: Container, attach: bool) -> Stream | None:
    planned = launch.plan(parts, container, attach)
    etcfiles.write(parts.places, container, "")
    if parts.runtime.forks():
        parts.database.rest()
    pid, stream = parts.runtime.create(planned, attach=attach)
    try:
        attached = _connect(parts, container, pid)
        parts.runtime.start(planned.run_dir)
        running = container._replace(
            status=RUNNING,
            pid=pid,
            started=parts.clock(),
            finished=0.0,
            exit_code=0,
            oom_killed=False,
            error="",
            address=attached.address,
            gateway=attached.gateway,
            mac=attached.mac,
            prefix=attached.prefix,
            ports=attached.ports,
        )
        parts.database.update(running, *_events(running, attach))
        hostnames.changed(parts, running)
    except BaseException:
        if stream is not None:
            stream.close()
        raise
    return stream


def _events(container: Container, attach: bool) -> list[Event]:
    told = [event.of(container, "attach", container.started)] if attach else []
    if has_own_network(container.config):
        told.append(event.connected(container, "connect", container.started))
    return [*told, event.of(container, "start", container.started)]


def _connect(parts: Parts, container: Container, pid: int) -> Attachment:
    config = container.config
    if not has_own_network(config):
        return NOTHING
    attached = parts.network.attach(
        container.id, pid, config.network, config.ports, config.ip, config.mac
    )
    if attached.address:
        etcfiles.write(parts.places, container, attached.address, attached.gateway)
        hostnames.start(parts, container, attached.address)
    return attached


def undo(parts: Parts, container: Container, error: BaseException | None) -> Container:
    """Take back a start that failed, or that a crash cut off."""
    clear(parts, container, connected=True)
    code = error.exit_code if isinstance(error, StartFailed) else NOT_STARTED
    text = str(error) if isinstance(error, DockyardError) else "the start was cut off"
    stopped = container._replace(error=text, exit_code=code, pid=0)
    parts.database.update(stopped)
    return stopped
