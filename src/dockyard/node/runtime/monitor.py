"""Turns a launch into a container that is looked after: its streams, its commands and its end.

One per container, forked by a launchpad or by a command, single-threaded, and small. It outlives
whoever started it. When it dies the container's init dies with it; whoever looks next cleans up.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dockyard.base.aio.now import monotonic, wall
from dockyard.base.errors import DockyardError
from dockyard.base.linux import door, seccomp, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci import runtimespec
from dockyard.interfaces.ociruntime import Launch, StartFailed
from dockyard.node.runtime import connection, hooks, init
from dockyard.node.runtime.attendant import Attendant
from dockyard.node.runtime.cgroups import (  # before a launchpad forks: limits
    group,
    limits,  # noqa: F401
    ownership,
)
from dockyard.node.runtime.child import Child, enter_pid_namespace
from dockyard.node.runtime.commands import Commands
from dockyard.node.runtime.connection import Connection
from dockyard.node.runtime.handshake import Handshake
from dockyard.node.runtime.logs import LogWriter
from dockyard.node.runtime.loop import Loop
from dockyard.node.runtime.newborn import Newborn
from dockyard.node.runtime.streams import Session
from dockyard.node.runtime.terminal import open_slave, resize
from dockyard.node.runtime.wire import exit_path, health_path, socket_path

if TYPE_CHECKING:
    from dockyard.node.runtime.health import Health

SECONDS_FOR_CLIENTS = 10.0
"""How long clients may take to read what is left when the container has ended."""


class Monitor:
    """One container, from its making to its end."""

    def __init__(self, launch: Launch, cache: str, creator: socket.socket) -> None:
        self.launch, self.cache = launch, cache
        self.newborn: Newborn | None = None
        self.loop = Loop()
        self.status = "creating"
        self.started = 0.0
        self.clients: set[Connection] = set()
        self.waiters: list[Connection] = []
        self.child: Child | None = None
        self.session: Session | None = None
        self.exit: dict[str, Any] | None = None
        self.log: LogWriter | None = None
        self.filter: bytes | None = None
        self.attendant: Attendant | None = None
        self.health: Health | None = None
        self.staged = False
        """Whether commands enter the pid namespace from inside the user namespace only."""
        self.creator = self._accept(creator)
        self.loop.on_signal([signal.SIGCHLD], self._reap)
        self.commands = Commands(self)
        self._handshake: Handshake | None = None
        self._start_failure: StartFailed | None = None
        self._errands: dict[int, Callable[[int], None]] = {}
        self._grouped = False
        self._home = ""
        self._operations: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
            "start": self._start,
            "state": self._state,
            "attach": self._attach,
            "exec": self.commands.execute,
            "wait": self._wait,
            "signal": self._signal,
            "interrupt": self._interrupt,
            "resize": self._resize,
            "eof": self._end_input,
            "reopen-log": self._reopen_log,
            "watch": self._watch,
        }

    # making

    def create(self, attach: bool) -> None:
        """Make the container, its init waiting. What fails is undone and raised."""
        self.spec = runtimespec.parse(self.launch.spec)
        init.check_rights(self.spec)
        self.listener = connection.listen(
            socket_path(self.launch.run_dir), self.loop, self._accept, os.geteuid()
        )
        try:
            self._make()
        except BaseException:
            self._unmake()
            raise
        self.status = "created"
        if attach:
            self._join_session(self.creator)
        assert self.child is not None
        self.creator.say(pid=self.child.pid)

    def _make(self) -> None:
        newborn, self.newborn = self.newborn, None
        if newborn is not None and not newborn.suits(self.spec):
            newborn.end()
            newborn = None
        if newborn is None and "pid" in self.spec.namespaces and not init.staged(self.spec):
            enter_pid_namespace(self.spec.namespaces["pid"])
        process = self.spec.process
        self.child = Child(
            process.terminal, self.launch.open_stdin, process.args[0] if process.args else "pause"
        )
        self.child.attendant = self.attendant = Attendant(self.spec, self.identity)
        made = group.create(self.spec.cgroup, self.spec.resources)
        self._grouped = bool(made)
        if not made:  # an ordinary user's, to whom none is delegated, and who has no newborn
            self.spec = self.spec._replace(cgroup="")
        if self.spec.uids:
            ownership.hand_over(self.spec)
        if newborn is not None:
            self.child.be(newborn)
        else:
            birth = init.Birth(self.launch.id, self.spec, self.launch.rootfs, self.child.stdio,
                               bundle=self.launch.state_dir)  # fmt: skip
            self.child.fork(lambda sync: init.become_init(birth, sync))
        if self.spec.seccomp:
            self.filter = seccomp.filter_for(self.spec.seccomp, self.cache)
        if self.launch.log is not None:
            self.log = LogWriter(self.launch.log, wall)
        self.child.built()
        self.staged = init.staged(self.spec) and not self._enter_as_owner()
        log = self.log.write if self.log else None
        held = open_slave(self.child.streams.stdout) if process.terminal else -1
        self.session = Session(self.child.streams, process.terminal, self.loop, log, held)

    def _enter_as_owner(self) -> bool:
        """Whether this monitor's children can be born in the container's pid namespace directly."""
        assert self.child is not None
        if "pid" in self.spec.namespaces:
            try:
                enter_pid_namespace(f"/proc/{self.child.pid}/ns/pid")
            except PermissionError:  # an ordinary user's monitor
                return False
        return True

    @property
    def identity(self) -> hooks.Identity:
        return hooks.identity(self.launch.id, self.launch.state_dir, self.spec)

    def _run_poststop(self) -> None:
        """What fails there changes nothing (runtime.md, "Lifecycle")."""
        with contextlib.suppress(DockyardError, OSError):
            said = hooks.state(self.identity, "stopped", 0)
            hooks.run_outside(self.spec.hooks, "poststop", said, self.launch.state_dir)

    def _unmake(self) -> None:
        if self.session is not None:
            self.session.close()
        elif self.child is not None:
            self.child.abandon()
        if self.child is not None and self.child.pid:
            os.waitpid(self.child.pid, 0)
        if self._grouped:
            group.remove(self.spec.cgroup)
        if self.spec.hooks.get("poststop"):
            self._run_poststop()
        self._close_listener()

    def _close_listener(self) -> None:
        # Unlinked first: who finds nobody listening may start the container again at once, and
        # its next monitor binds the same name.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket_path(self.launch.run_dir))
        self.loop.forget(self.listener.fileno())
        self.listener.close()

    # running

    def run(self) -> None:
        """Look after the container until it has ended and its clients know."""
        while self.exit is None:
            self.loop.turn(self.health.turn() if self.health else None)
        for client in list(self.clients):
            if client in self.waiters or client.session is self.session:
                client.say(**self.exit)
        # A process that the kernel cannot end keeps its group: `delete` tries again and says so.
        with contextlib.suppress(DockyardError, OSError):
            if self._grouped:
                group.remove(self.spec.cgroup)
        if self.spec.hooks.get("poststop"):
            self._run_poststop()
        self._close_listener()
        self._let_clients_read()
        with contextlib.suppress(OSError):
            group.leave(self._home)
        if self.launch.on_exit:  # outside every group of ours, so that each of them can go
            program = self.launch.on_exit
            with contextlib.suppress(PermissionError):  # an ordinary user's is in none other
                enter_pid_namespace("/proc/self/ns/pid")  # the container's takes nobody in any more
            os.posix_spawn(program[0], program, os.environ, setsigmask=[])

    def _let_clients_read(self) -> None:
        while any(client.pending() for client in self.clients):
            if not self.loop.turn(SECONDS_FOR_CLIENTS):
                break

    def refuse(self, error: BaseException) -> None:
        """Tell the creator why there is no container."""
        known = isinstance(error, (DockyardError, OSError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        code = error.exit_code if isinstance(error, StartFailed) else 125
        self.creator.say(error=text, code=code)
        self._let_clients_read()

    def _accept(self, peer: socket.socket) -> Connection:
        client = Connection(peer, self.loop, self._handle, self._gone)
        self.clients.add(client)
        return client

    def _gone(self, client: Connection) -> None:
        self.clients.discard(client)
        if client in self.waiters:
            self.waiters.remove(client)
        self.commands.client_gone(client)
        session = client.session
        if session is not None and client in session.clients:
            session.clients.remove(client)
            if self.launch.stdin_once and session is self.session:
                session.end_input()
            session.refresh()

    def _handle(self, client: Connection, message: dict[str, Any]) -> None:
        operation = self._operations.get(str(message.get("op")))
        try:
            if operation is None:
                raise StartFailed(f"monitor: operation {message.get('op')!r}: unknown", 125)
            operation(client, message)
        except StartFailed as error:
            client.say(error=str(error), code=error.exit_code)
        except (DockyardError, OSError, KeyError, ValueError, TypeError) as error:
            client.say(error=str(error), code=125)

    # what clients ask for

    def _start(self, client: Connection, _: dict[str, Any]) -> None:
        if self.status != "created" or self.child is None:
            raise StartFailed(f"start: the container is {self.status}, not created", 125)
        self.status = "starting"
        self._handshake = Handshake(
            self.child,
            self.loop,
            self.filter,
            lambda error: self._started(client, error),
            built=True,
        )

    def _started(self, client: Connection, error: StartFailed | None) -> None:
        self._handshake = None
        if door.recorder is not None and self.child is not None:
            from dockyard.base.linux import recording

            recording.started(self.child.pid, error)
        if error is not None:
            self._start_failure = error
            client.say(error=str(error), code=error.exit_code)
            return
        self.status, self.started = "running", wall()
        if self.spec.hooks.get("poststart"):
            self._begin_poststart(client)
        else:
            client.say(ok=True)
        if self.launch.health is not None:
            from dockyard.node.runtime.health import Health  # most containers do without

            path = health_path(self.launch.state_dir)
            self.health = Health(self.launch.health, path, self.commands, monotonic, wall)
        # Whoever ends the group of the monitor's creator spares it. Nobody waits for this, and a
        # monitor that stays where it is does its work as well.
        with contextlib.suppress(OSError):
            self._home = group.settle(os.path.dirname(self.spec.cgroup))

    def _begin_poststart(self, client: Connection) -> None:
        """The start is done when they are. One that fails stops the container."""
        assert self.child is not None
        said = hooks.state(self.identity, "running", self.child.pid)
        bundle = self.launch.state_dir
        errand = hooks.begin_outside(self.spec.hooks, "poststart", said, bundle)

        def done(code: int) -> None:
            error = errand.outcome(code)
            if error is None:
                client.say(ok=True)
                return
            self._start_failure = error
            client.say(error=str(error), code=error.exit_code)
            if self.exit is None and self.child is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.child.pid, signal.SIGKILL)

        self._errands[errand.pid] = done

    def _state(self, client: Connection, _: dict[str, Any]) -> None:
        status = {"creating": "created", "starting": "created"}.get(self.status, self.status)
        if status == "running" and self._frozen():
            status = "paused"
        pid = self.child.pid if self.child else 0
        lost = self.log.lost if self.log else 0
        client.say(status=status, pid=pid, started=self.started, log_bytes_lost=lost)

    def _frozen(self) -> bool:
        return self._grouped and group.is_frozen(self.spec.cgroup)

    def _attach(self, client: Connection, _: dict[str, Any]) -> None:
        self._join_session(client)
        client.say(ok=True)

    def _join_session(self, client: Connection) -> None:
        if self.session is None:
            raise StartFailed("attach: the container has no streams", 125)
        client.session = self.session
        self.session.clients.append(client)

    def _wait(self, client: Connection, _: dict[str, Any]) -> None:
        if self.exit is not None:
            client.say(**self.exit)
        else:
            self.waiters.append(client)

    def _signal(self, client: Connection, message: dict[str, Any]) -> None:
        if self.child is None or self.exit is not None:
            raise StartFailed("kill: the container is not running", 125)
        number = int(message["number"])
        if message.get("everyone") and not self._grouped:
            raise StartFailed("kill: everyone: this container has no control group", 125)
        if message.get("everyone"):
            group.signal_all(self.spec.cgroup, number)
        else:
            os.kill(self.child.pid, number)
        client.say(ok=True)

    def _interrupt(self, client: Connection, message: dict[str, Any]) -> None:
        number = int(message["number"])
        if client.command:
            self.commands.signal(client.command, number)
        elif client.session is not None and self.child is not None:
            os.kill(self.child.pid, number)

    def _resize(self, client: Connection, message: dict[str, Any]) -> None:
        """The size of the client's terminal, or of the container's where it has none."""
        session = client.session or self.session
        descriptor = session.terminal_descriptor() if session else -1
        if descriptor >= 0:
            rows, columns = (int(message[name]) & 0xFFFF for name in ("rows", "columns"))
            resize(descriptor, rows, columns)

    def _end_input(self, client: Connection, _: dict[str, Any]) -> None:
        if client.session is not None:
            client.session.end_input()

    def _reopen_log(self, client: Connection, _: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.reopen()
        client.say(ok=True)

    def _watch(self, client: Connection, message: dict[str, Any]) -> None:
        self.launch = self.launch._replace(on_exit=tuple(map(str, message["on_exit"])))
        client.say(ok=True)

    # the end

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
            if self.child is not None and pid == self.child.pid:
                self._ended(code)
            elif pid in self._errands:
                self._errands.pop(pid)(code)
            else:
                self.commands.ended(pid, code)

    def _ended(self, code: int) -> None:
        """The container's first process has ended, and with it everything in its pid namespace."""
        if self.exit is not None or self.status == "creating":
            return
        if self._handshake is not None:
            self._handshake.end()
        if self._start_failure is not None:
            code = self._start_failure.exit_code
        if self.session is not None:
            self.session.drain()
        if self.log is not None:
            self.log.close()
        if self.health is not None:
            self.health.end()
        oom_killed = self._grouped and group.oom_kills(self.spec.cgroup) > 0
        self.exit = {"exit": code, "oom_killed": oom_killed, "finished": wall()}
        self.status = "stopped"
        path = exit_path(self.launch.state_dir)
        with open(f"{path}.new", "w") as file:
            json.dump(self.exit, file)
        os.replace(f"{path}.new", path)


def become_monitor(*kept: int) -> None:
    """Let a fresh fork go its own way: away from its parent's terminal, signals and files."""
    gc.disable()
    through("setsid", os.setsid)
    through("chdir", os.chdir, "/")
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    if door.descriptor >= 0:
        kept = (*kept, door.descriptor)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    first = 3
    for descriptor in sorted(kept):
        if descriptor > first:
            syscalls.close_range(first, descriptor - 1)
        first = descriptor + 1
    syscalls.close_range(first)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _monitor_of(launch: Launch) -> type[Monitor]:
    if not launch.runtime:
        return Monitor
    from dockyard.node.runtime.external import ExternalMonitor  # most containers are ours

    return ExternalMonitor


def look_after(
    launch: Launch,
    cache: str,
    creator: socket.socket,
    attach: bool,
    newborn: Newborn | None = None,
    made: Callable[[], None] = lambda: None,
) -> None:
    """Be the monitor of a container, from its making to its end. ``made`` is called in between."""
    if launch.runtime and newborn is not None:  # another runtime makes its own
        newborn.end()
        newborn = None
    monitor = _monitor_of(launch)(launch, cache, creator)
    monitor.newborn = newborn
    try:
        monitor.create(attach)
    except BaseException as error:  # whatever it is: the creator must hear of it
        monitor.refuse(error)
        return
    made()
    try:
        monitor.run()
    except BaseException:  # nobody listens any more: whoever looks for the reason finds it here
        import traceback

        with open(f"{launch.state_dir}/monitor.error", "w") as file:
            traceback.print_exc(file=file)
        raise
