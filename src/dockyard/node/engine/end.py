"""Turns a running container into one that has ended: a signal, a grace, and the kernel's kill."""

from __future__ import annotations

import contextlib
import signal

from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound, Unavailable
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine import refresh
from dockyard.node.engine.config import PAUSED, RUNNING, Container
from dockyard.node.engine.parts import Parts

SECONDS_TO_DIE = 10.0
"""How long the kernel may take over SIGKILL."""


def kill(parts: Parts, reference: str, number: int) -> None:
    """Send a signal to a container's first process."""
    container = refresh.find(parts, reference)
    if not container.alive:
        raise Conflict(
            f"cannot kill container: {reference}: container {container.id} is not running"
        )
    run = parts.places.run(container.id)
    try:
        parts.runtime.signal(run, number)
    except (StartFailed, Unavailable):
        if refresh.find(parts, container.id).alive:
            raise
    if number == signal.SIGKILL and container.status == PAUSED:
        parts.runtime.resume(parts.places.cgroup(container.id))  # a frozen process does not die


def stop(parts: Parts, reference: str, seconds: float | None, number: int) -> None:
    """Ask a container to end; end it when it takes longer than its grace."""
    container = refresh.find(parts, reference)
    if not container.alive:
        return
    config, run = container.config, parts.places.run(container.id)
    grace = float(config.stop_timeout) if seconds is None else seconds
    number = number or signal_number(config.stop_signal or "SIGTERM")
    with contextlib.suppress(StartFailed, Unavailable, NotFound):  # it ended meanwhile
        parts.runtime.signal(run, number)
        if container.status == PAUSED:
            parts.runtime.resume(parts.places.cgroup(container.id))
        if wait(parts, container.id, None if grace < 0 else grace) is None:
            parts.runtime.signal(run, signal.SIGKILL)
            if wait(parts, container.id, SECONDS_TO_DIE) is None:
                raise HardToKill(
                    f"stop: {container.name}: process {container.pid} did not end "
                    f"{SECONDS_TO_DIE:.0f} s after SIGKILL; look at /proc/{container.pid}/stack"
                )
    with contextlib.suppress(NotFound):
        refresh.find(parts, container.id)


class HardToKill(DockyardError):
    """The kernel can't end a process: it waits for a device or a file system."""


def wait(parts: Parts, reference: str, seconds: float | None) -> Container | None:
    """The container when it has ended; None when it has not after that time."""
    container = refresh.find(parts, reference)
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
        why = "is already paused" if container.status == PAUSED else "is not running"
        raise Conflict(f"Container {container.id} {why}")
    parts.runtime.pause(parts.places.cgroup(container.id))


def resume(parts: Parts, reference: str) -> None:
    """Let a frozen container go on."""
    container = refresh.find(parts, reference)
    if container.status != PAUSED:
        raise Conflict(f"Container {container.id} is not paused")
    parts.runtime.resume(parts.places.cgroup(container.id))


def signal_number(name: str) -> int:
    """``SIGTERM``, ``TERM``, ``RTMIN+3`` or ``15``. Raises :class:`Invalid`."""
    text = name.upper().removeprefix("SIG")
    base, plus, offset = text.partition("+")
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    if plus and base == "RTMIN" and offset.isdecimal() and int(offset) <= 30:
        return signal.SIGRTMIN + int(offset)
    try:
        return int(signal.Signals[f"SIG{text}"])
    except KeyError:
        raise Invalid(f"invalid signal: {name}") from None
