"""Turns a running container into one that has ended: a signal, a grace, and the kernel's kill."""

from __future__ import annotations

from dockyard.base import contexts
from dockyard.base.aio import now
from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound, Unavailable
from dockyard.base.linux import signals
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine import refresh, restart
from dockyard.node.engine.config import PAUSED, RESTARTING, RUNNING, Container
from dockyard.node.engine.parts import Parts

TURN = 0.05
"""Seconds between two looks at a container that somebody waits to start."""
IDLE = "is not running"
NOT_RUNNING = {PAUSED: "is already paused",
               RESTARTING: "is restarting, wait until the container is running"}  # fmt: skip
SECONDS_TO_DIE = 10.0
"""How long the kernel may take over SIGKILL."""


def kill(parts: Parts, reference: str, number: int) -> None:
    """Send a signal to a container's first process."""
    container = refresh.find(parts, reference)
    if restart.give_up(parts, container.id):
        return
    if not container.alive:
        raise Conflict(
            f"cannot kill container: {reference}: container {container.id} is not running"
        )
    run = parts.places.run(container.id)
    if number in (signals.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM")):
        _is_to_end(parts, container)
    try:
        parts.runtime.signal(run, number)
    except (StartFailed, Unavailable):
        if refresh.find(parts, container.id).alive:
            raise
    if number == signals.SIGKILL and container.status == PAUSED:
        parts.runtime.resume(
            parts.places.cgroup(container.id, container.config.cgroup_parent)
        )  # a frozen process does not die
    parts.tell(container, "kill", signal=str(int(number)))


def _is_to_end(parts: Parts, container: Container) -> None:
    """Its restart policy shall not start it again."""
    if container.config.restart.name not in ("no", ""):
        with parts.locks.hold(container.id):
            latest = parts.database.get(container.id)
            if latest is not None and latest.alive:
                parts.database.update(latest._replace(stopped=True))
                with contexts.suppress(StartFailed, Unavailable):  # it has ended meanwhile
                    parts.runtime.watch(parts.places.run(container.id), ())


def stop(parts: Parts, reference: str, seconds: float | None, number: int) -> None:
    """Ask a container to end; end it when it takes longer than its grace."""
    container = refresh.find(parts, reference)
    if given_up := restart.give_up(parts, container.id):
        parts.tell(given_up, "stop")
    if not container.alive:
        return
    _is_to_end(parts, container)
    config, run = container.config, parts.places.run(container.id)
    grace = float(config.stop_timeout) if seconds is None else seconds
    number = number or signal_number(config.stop_signal or "SIGTERM")
    with contexts.suppress(StartFailed, Unavailable, NotFound):  # it ended meanwhile
        parts.runtime.signal(run, number)
        parts.tell(container, "kill", signal=str(int(number)))
        if container.status == PAUSED:
            parts.runtime.resume(parts.places.cgroup(container.id, container.config.cgroup_parent))
        if wait(parts, container.id, None if grace < 0 else grace) is None:
            parts.runtime.signal(run, signals.SIGKILL)
            parts.tell(container, "kill", signal=str(int(signals.SIGKILL)))
            if wait(parts, container.id, SECONDS_TO_DIE) is None:
                raise HardToKill(
                    f"stop: {container.name}: process {container.pid} did not end "
                    f"{SECONDS_TO_DIE:.0f} s after SIGKILL; look at /proc/{container.pid}/stack"
                )
    with contexts.suppress(NotFound):
        refresh.find(parts, container.id)
    parts.tell(container, "stop")


class HardToKill(DockyardError):
    """The kernel can't end a process: it waits for a device or a file system."""


def wait(parts: Parts, reference: str, seconds: float | None) -> Container | None:
    """The container when it has ended; None when it has not after that time."""
    container = refresh.find(parts, reference)
    while container.status == RESTARTING and (seconds is None or seconds > 0):
        now.pause(TURN)
        seconds = None if seconds is None else seconds - TURN
        container = refresh.find(parts, container.id)
    if not container.alive:
        return container
    run, state = parts.places.run(container.id), parts.places.state(container.id)
    found = parts.runtime.wait(run, state, seconds)
    if found is None and parts.runtime.state(run).status in ("running", "paused"):
        return None
    latest = refresh.refresh(parts, container)
    if found is None:
        return latest
    # one that is removed with its end has no row to tell of it
    return latest._replace(exit_code=found.code, oom_killed=found.oom_killed,
                           finished=found.finished)  # fmt: skip


def pause(parts: Parts, reference: str) -> None:
    """Freeze every process of a container."""
    container = refresh.find(parts, reference)
    if container.status != RUNNING:
        raise Conflict(f"Container {container.id} {NOT_RUNNING.get(container.status, IDLE)}")
    parts.runtime.pause(parts.places.cgroup(container.id, container.config.cgroup_parent))
    parts.tell(container, "pause")


def resume(parts: Parts, reference: str) -> None:
    """Let a frozen container go on."""
    container = refresh.find(parts, reference)
    if container.status != PAUSED:
        raise Conflict(f"Container {container.id} is not paused")
    parts.runtime.resume(parts.places.cgroup(container.id, container.config.cgroup_parent))
    parts.tell(container, "unpause")


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``RTMIN+3`` or ``15``. Raises :class:`Invalid`."""
    text = name.upper().removeprefix("SIG")
    base, plus, offset = text.partition("+")
    if _is_short(text) and 0 < int(text) < signals.NSIG:
        return int(text)
    if plus and base == "RTMIN" and _is_short(offset) and int(offset) <= 30:
        return signals.SIGRTMIN + int(offset)
    found = getattr(signals, f"SIG{text}", None) if text.isalnum() else None
    if found is None:
        raise Invalid(f"invalid signal: {name}")
    return int(found)


def _is_short(text: str) -> bool:
    return text.isdecimal() and len(text) < 4
