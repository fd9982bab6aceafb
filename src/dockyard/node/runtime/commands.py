"""Turns ``exec`` requests into further processes of a container, each with its own streams."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

from dockyard.base.oci import runtimespec
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime import init, terminal
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.child import Child
from dockyard.node.runtime.connection import Connection
from dockyard.node.runtime.streams import Session

if TYPE_CHECKING:
    from dockyard.node.runtime.monitor import Monitor


class Commands:
    """The commands that run in a container beside its own program."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._running: dict[int, tuple[Session, Connection | None]] = {}

    def execute(self, client: Connection, message: dict[str, Any]) -> None:
        """Start a command; its client gets its output and its exit code."""
        monitor = self._monitor
        if monitor.status != "running" or monitor.child is None:
            raise StartFailed(f"exec: the container is {monitor.status}, not running", 125)
        if group.is_frozen(monitor.spec.cgroup):
            raise StartFailed("exec: the container is paused; resume it first", 125)
        process = runtimespec.parse_process(message.get("process"))
        container = os.pidfd_open(monitor.child.pid)
        child = Child(process.terminal, bool(message.get("stdin")))
        stdio = child.stdio
        try:
            child.fork(
                lambda sync: init.become_command(process, container, monitor.filter, sync, stdio)
            )
            group.enter(monitor.spec.cgroup, child.pid)
            child.go()
            child.start()
        except BaseException:
            child.close()
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            raise
        finally:
            os.close(container)
        session = Session(child.streams, process.terminal, monitor.loop, None)
        detached = bool(message.get("detach"))
        client.say(ok=True, pid=child.pid)
        if not detached:
            client.session = session
            session.clients.append(client)
        self._running[child.pid] = (session, None if detached else client)

    def resize(self, client: Connection, message: dict[str, Any]) -> None:
        """The size of the client's terminal, or of the container's where it has none."""
        session = client.session or self._monitor.session
        descriptor = session.terminal_descriptor() if session else -1
        if descriptor >= 0:
            rows, columns = (int(message[name]) & 0xFFFF for name in ("rows", "columns"))
            terminal.resize(descriptor, rows, columns)

    def ended(self, pid: int, code: int) -> None:
        """A process that is not the container's first has ended."""
        session, client = self._running.pop(pid, (None, None))
        if session is not None:
            session.drain()
        if client is not None:
            client.say(exit=code)
