"""Turns ``exec`` requests into further processes of a container, each with its own streams."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

from dockyard.base.linux import oomscore
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.child import Child, enter_pid_namespace
from dockyard.node.runtime.connection import Connection
from dockyard.node.runtime.handshake import Handshake
from dockyard.node.runtime.messages import FLAGS
from dockyard.node.runtime.streams import Session

if TYPE_CHECKING:
    from dockyard.base.oci import runtimespec
    from dockyard.node.runtime.monitor import Monitor


class Command:
    """One command, from its fork to its end."""

    def __init__(self, child: Child, client: Connection, detached: bool) -> None:
        self.child, self.client, self.detached = child, client, detached
        self.handshake: Handshake | None = None
        self.session: Session | None = None


class Commands:
    """The commands that run in a container beside its own program."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._by_pid: dict[int, Command] = {}
        self.entered: bool | None = None
        """Whether this process's children are born in the container's pid namespace."""

    def _enter(self) -> bool:
        """Whether commands need not enter the pid namespace themselves."""
        if self.entered is None:
            self.entered = True
            if self._monitor.made.own_pids:
                try:
                    enter_pid_namespace(f"/proc/{self._monitor.child.pid}/ns/pid")
                except PermissionError:  # an ordinary user's: only from its user namespace
                    self.entered = False
        return self.entered

    def execute(self, client: Connection, message: dict[str, Any]) -> None:
        """Start a command; its client gets its output and its exit code."""
        from dockyard.node.runtime import init  # only a monitor that executes commands keeps it

        monitor = self._monitor
        process = self.check(message)
        entered = self._enter()
        child = Child(process.terminal, bool(message.get("stdin")), process.args[0])
        try:
            container = os.pidfd_open(monitor.child.pid)
        except OSError:
            child.abandon()
            raise
        child.attendant = monitor.child.attendant
        staged = monitor.made.staged and not entered
        flags = monitor.made.namespaces | (FLAGS["pid"] if staged and monitor.made.own_pids else 0)
        errand = init.Errand(
            monitor.made.id, process, monitor.made.cgroup, container, child.stdio, flags, staged,
            tree=monitor.made.tree,
        )  # fmt: skip
        try:
            child.fork(lambda sync: init.become_command(errand, sync))
        except BaseException:
            child.abandon()
            raise
        finally:
            os.close(container)
        command = self._by_pid[child.pid] = Command(child, client, bool(message.get("detach")))
        child.moved = self._moved
        command.handshake = Handshake(
            child,
            monitor.loop,
            monitor.filter,
            lambda error: self._started(command, error),
            built=False,
        )

    def check(self, message: dict[str, Any]) -> runtimespec.Process:
        """The process that is asked for. Raises where the container takes none now."""
        from dockyard.base.oci import runtimespec

        monitor = self._monitor
        if monitor.status != "running":
            raise StartFailed(f"exec: the container is {monitor.status}, not running", 125)
        if monitor.made.cgroup and group.is_frozen(monitor.made.cgroup):
            raise StartFailed("exec: the container is paused; resume it first", 125)
        process = runtimespec.parse_process(message.get("process"))
        if process.oom_score_adj is None:  # not the monitor's own, which is killed last
            score = oomscore.of(monitor.child.pid)
            if score != oomscore.of(os.getpid()):  # an ordinary user can write none, nor needs to
                process = process._replace(oom_score_adj=score)
        return process

    def _started(self, command: Command, error: StartFailed | None) -> None:
        command.handshake = None
        child, client = command.child, command.client
        if error is not None:
            child.abandon()
            client.say(error=str(error), code=error.exit_code)
            return
        command.session = Session(child.streams, child.terminal, self._monitor.loop, None)
        client.say(ok=True, pid=child.pid)
        client.command = child.pid
        if not command.detached:
            client.session = command.session
            command.session.clients.append(client)

    def _moved(self, before: int) -> None:
        """A sibling goes on in the place of the process that was forked."""
        command = self._by_pid.pop(before)
        self._by_pid[command.child.pid] = command

    def signal(self, pid: int, number: int) -> None:
        """To the process of a command; one that has ended needs none."""
        if pid in self._by_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def client_gone(self, client: Connection) -> None:
        """Nobody waits for a command that has not started: it ends. Others go on."""
        for pid, command in self._by_pid.items():
            if command.client is client and command.handshake is not None:
                self.signal(pid, signal.SIGKILL)

    def ended(self, pid: int, code: int) -> None:
        """A process that is not the container's first has ended."""
        command = self._by_pid.get(pid)
        if command is None:
            return
        if command.handshake is not None and not self.entered:
            command.handshake.advance()  # what it has said last: maybe that a sibling goes on
            if command.child.pid != pid:
                return
        del self._by_pid[pid]
        if command.handshake is not None:
            command.handshake.end()
        if command.session is not None:
            command.session.drain()
            command.client.say(exit=code)
