"""Turns a container that was made into one that is looked after: its streams, commands and end.

One per container, forked by a launchpad or by a command, single-threaded, and small: another
process has made the container (:mod:`.maker`, :mod:`.spare`), and what is rare is loaded when it
is asked for. It outlives whoever started it. When it dies the container's init dies with it;
whoever looks next cleans up.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # see :mod:`.loop`
import os
import sys
from _socket import socket as Plain

from dockyard.base.aio.now import monotonic, wall
from dockyard.base.errors import DockyardError
from dockyard.base.later import Later
from dockyard.base.linux import oomscore
from dockyard.base.suppress import suppress
from dockyard.interfaces.startfailed import StartFailed
from dockyard.node.runtime import connection, wire
from dockyard.node.runtime.cgroups import light
from dockyard.node.runtime.child import Child, enter_pid_namespace
from dockyard.node.runtime.connection import Connection
from dockyard.node.runtime.handshake import Handshake
from dockyard.node.runtime.logs import LogWriter, Place
from dockyard.node.runtime.loop import Loop
from dockyard.node.runtime.streams import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from dockyard.interfaces.ociruntime import Launch
    from dockyard.node.runtime.attendant import Attendant
    from dockyard.node.runtime.cgroups import group
    from dockyard.node.runtime.commands import Commands
    from dockyard.node.runtime.health import Health
    from dockyard.node.runtime.made import Held, LogValues, Made, Rest
else:
    group = Later("dockyard.node.runtime.cgroups", "group")

SECONDS_UNTIL_SETTLED = 1.0
"""Most containers that are short have ended then."""
SECONDS_FOR_CLIENTS = 10.0
"""How long clients may take to read what is left when the container has ended."""


_OPERATIONS = {
    "start": "_start",
    "state": "_state",
    "attach": "_attach",
    "exec": "_exec",
    "wait": "_wait",
    "signal": "_signal",
    "interrupt": "_interrupt",
    "resize": "_resize",
    "eof": "_end_input",
    "reopen-log": "_reopen_log",
    "watch": "_watch",
}
"""What clients ask for -> who does it."""


class Monitor:
    """One container, from where its init waits to its end."""

    def __init__(self, made: Made, held: Held, terminal: int = -1) -> None:
        """``terminal``: the other side of the container's, where this process has it already."""
        self.made = made
        self.settles = False
        """Whether it executes itself anew when its container has run for a while: see
        :mod:`.settled`."""
        self._settling = 0.0
        self.loop = Loop()
        self.status = "created"
        self.started = 0.0
        self.clients: set[Connection] = set()
        self.waiters: list[Connection] = []
        self.exit = b""
        """How its container has ended, as a frame."""
        self.filter = made.filter
        self.health: Health | None = None
        self.loop.on_signal([_signal.SIGCHLD], self._reap)
        self._commands: Commands | None = None
        self.on_exit = made.on_exit
        self._handshake: Handshake | None = None
        self._start_failure: StartFailed | None = None
        self._errands: dict[int, Callable[[int], None]] = {}
        self._home = ""
        self.child = self._taken(held)
        self.child.attendant = self.attendant()
        self._log: LogWriter | None = None
        self._lost = 0
        if made.terminal and terminal < 0 and held.streams.stdout >= 0:
            terminal = self._terminal().open_slave(held.streams.stdout)
        log = self._write_log if made.log else None
        self.session = Session(held.streams, made.terminal, self.loop, log, terminal)
        self.listener = connection.Listener(held.listener, self.loop, self._accept, os.geteuid())

    def begin(self, rest: Rest) -> None:
        """It is built: whoever asked for it may know."""
        if rest.sync >= 0:
            self.child.join(rest.sync)
        if rest.creator >= 0:
            self._answer(Plain(fileno=rest.creator))

    def _answer(self, creator: Plain) -> None:
        with suppress(OSError):  # it has gone; the container stays, as with Docker
            creator.sendall(self.made.answer)
        if self.made.attach:
            self._join_session(self._accept(creator))
        else:
            creator.close()

    def _open_log(self, log: LogValues) -> LogWriter:
        self._log = LogWriter(Place(*log), wall)
        return self._log

    def _write_log(self, stream: int, data: bytes) -> None:
        """The file is there since the container is; it is opened when there is something for it."""
        try:
            assert self.made.log is not None
            (self._log or self._open_log(self.made.log)).write(stream, data)
        except OSError:  # its folder has gone: that ends no container
            self._lost += len(data)

    @staticmethod
    def _terminal() -> ModuleType:
        from dockyard.node.runtime import terminal  # most containers have none

        return terminal

    @property
    def commands(self) -> Commands:
        """Made for the first of them: most containers have none."""
        if self._commands is None:
            from dockyard.node.runtime.commands import Commands

            self._commands = Commands(self)
        return self._commands

    def _taken(self, held: Held) -> Child:
        return Child.of(self.made, held.streams)

    def attendant(self) -> Attendant | None:
        """Who does what init or a command cannot do itself, where there is such a thing."""
        if not self.made.rest:
            return None
        from dockyard.base.oci import runtimespec
        from dockyard.node.runtime import attendant, hooks

        launch = self._launch()
        spec = runtimespec.parse(launch.spec)
        return attendant.Attendant(spec, hooks.identity(launch.id, launch.state_dir, spec))

    def _launch(self) -> Launch:
        from dockyard.node.runtime import launchmessage

        return launchmessage.unpack(self.made.rest)[0]

    def _run_poststop(self) -> None:
        if "poststop" in self.made.hooks:
            from dockyard.node.runtime import afterwards

            afterwards.run(self.made.run_dir)

    def _close_listener(self) -> None:
        # Unlinked first: who finds nobody listening may start the container again at once, and
        # its next monitor binds the same name.
        connection.unlink(wire.socket_path(self.made.run_dir))
        self.listener.close()

    # running

    def run(self) -> None:
        """Look after the container until it has ended and its clients know."""
        self._reap()  # what has ended before this process listened to signals
        while not self.exit:
            self.loop.turn(self._patience())
            if self.listener.deaf_until and self.listener.deaf_until <= monotonic():
                self.listener.listen()
        self._finish()
        with suppress(OSError):
            oomscore.ordinary()  # as are whoever is executed now
        self._run_poststop()
        self._close_listener()
        self._let_clients_read()
        with suppress(OSError):
            group.leave(self._home)
        if program := self.on_exit:  # outside every group of ours, so that each of them can go
            with suppress(PermissionError):  # an ordinary user's is in none other
                enter_pid_namespace("/proc/self/ns/pid")  # the container's takes nobody in any more
            os.posix_spawn(program[0], program, os.environ, setsigmask=[])

    def _finish(self) -> None:
        """Tell who waits, and clean up."""
        for client in list(self.clients):
            if client in self.waiters or client.session is self.session:
                client.send(self.exit)
        # A process that the kernel cannot end keeps its group: `delete` tries again and says so.
        with suppress(DockyardError, OSError):
            if not light.remove(self.made.groups):
                group.remove(self.made.cgroup)
            if self.made.tree:
                self._remove_tree()

    def _remove_tree(self) -> None:
        from dockyard.node.runtime import hosttree  # most have a mount namespace, which ends itself

        hosttree.remove(self.made.tree)

    def _patience(self) -> float | None:
        """Seconds until there is something to do without anybody's asking; None: never."""
        seconds = self.health.turn() if self.health else self._until_settled()
        if self.listener.deaf_until:
            left = max(0.0, self.listener.deaf_until - monotonic())
            return left if seconds is None else min(seconds, left)
        return seconds

    def _until_settled(self) -> float | None:
        """Seconds until this process may become a smaller one; None: never."""
        if not self.settles or self.status != "running":
            return None
        now = monotonic()
        self._settling = self._settling or now + SECONDS_UNTIL_SETTLED
        if now >= self._settling:
            from dockyard.node.runtime import settled

            settled.execute(self)  # which comes back where somebody is in the middle of something
            self._settling = now + SECONDS_UNTIL_SETTLED
        return self._settling - now

    def busy(self) -> bool:
        """Whether there is more than its container's streams to look after."""
        return bool(self.clients or self._commands or self._errands or self.health or self.exit)

    def known(self) -> tuple[float, tuple[str, ...], str, int, dict[int, bytes]]:
        """What it has learned since its container was made, for :meth:`go_on`."""
        lost, partial = (self._log.lost, self._log.partial) if self._log else (0, {})
        return self.started, self.on_exit, self._home, self._lost + lost, partial

    def go_on(
        self,
        started: float,
        on_exit: tuple[str, ...],
        home: str,
        lost: int,
        partial: dict[int, bytes],
    ) -> None:
        """Be again what it was before it executed itself anew."""
        self.status, self.started, self.on_exit = "running", started, on_exit
        self._home, self._lost = home, lost
        if self.made.log and any(partial.values()):
            self._open_log(self.made.log).partial.update(partial)

    def _let_clients_read(self) -> None:
        while any(client.pending() for client in self.clients):
            if not self.loop.turn(SECONDS_FOR_CLIENTS):
                break

    def _accept(self, peer: Plain) -> Connection:
        client = Connection(peer, self.loop, self._handle, self._gone)
        self.clients.add(client)
        return client

    def _gone(self, client: Connection) -> None:
        self.clients.discard(client)
        if client in self.waiters:
            self.waiters.remove(client)
        if self._commands is not None:
            self._commands.client_gone(client)
        session = client.session
        if session is not None and client in session.clients:
            session.clients.remove(client)
            if self.made.stdin_once and session is self.session:
                session.end_input()
            session.refresh()

    def _handle(self, client: Connection, message: dict[str, Any]) -> None:
        name = _OPERATIONS.get(str(message.get("op")))
        try:
            if name is None:
                raise StartFailed(f"monitor: operation {message.get('op')!r}: unknown", 125)
            getattr(self, name)(client, message)
        except StartFailed as error:
            client.say(error=str(error), code=error.exit_code)
        except (DockyardError, OSError, KeyError, ValueError, TypeError) as error:
            client.say(error=str(error), code=125)

    # what clients ask for

    def _exec(self, client: Connection, message: dict[str, Any]) -> None:
        self.commands.execute(client, message)

    def _start(self, client: Connection, _: dict[str, Any]) -> None:
        if self.status != "created":
            raise StartFailed(f"start: the container is {self.status}, not created", 125)
        self.status = "starting"
        self._handshake = Handshake(
            self.child,
            self.loop,
            None if self.made.early else self.filter,
            lambda error: self._started(client, error),
            built=True,
        )

    def _started(self, client: Connection, error: StartFailed | None) -> None:
        self._handshake = None
        door = sys.modules.get("dockyard.base.linux.door")
        if door is not None and door.recorder is not None:
            from dockyard.base.linux import recording

            recording.started(self.child.pid, error)
        if error is not None:
            self._start_failure = error
            client.say(error=str(error), code=error.exit_code)
            return
        self.status, self.started = "running", wall()
        if "poststart" in self.made.hooks:
            self._begin_poststart(client)
        else:
            client.send(wire.OK)
        if self.made.health and (check := self._launch().health) is not None:
            from dockyard.node.runtime.health import Health  # most containers do without

            path = wire.health_path(self.made.state_dir)
            self.health = Health(check, path, self.commands, monotonic, wall)
        # Whoever ends the group of the monitor's creator spares it. Nobody waits for this, and a
        # monitor that stays where it is does its work as well.
        with suppress(OSError):
            light.settle(self.made.doors)
            self._home = self.made.home
        with suppress(OSError):
            oomscore.lower(oomscore.MONITOR)  # without the right to: it is as good as others

    def _begin_poststart(self, client: Connection) -> None:
        """The start is done when they are. One that fails stops the container."""
        from dockyard.base.oci import runtimespec
        from dockyard.node.runtime import hooks

        launch = self._launch()
        spec, bundle = runtimespec.parse(launch.spec), launch.state_dir
        said = hooks.state(hooks.identity(launch.id, bundle, spec), "running", self.child.pid)
        errand = hooks.begin_outside(spec.hooks, "poststart", said, bundle)

        def done(code: int) -> None:
            error = errand.outcome(code)
            if error is None:
                client.send(wire.OK)
                return
            self._start_failure = error
            client.say(error=str(error), code=error.exit_code)
            if not self.exit:
                with suppress(ProcessLookupError):
                    os.kill(self.child.pid, _signal.SIGKILL)

        self._errands[errand.pid] = done

    def _state(self, client: Connection, _: dict[str, Any]) -> None:
        status = "created" if self.status == "starting" else self.status
        if status == "running" and self._frozen():
            status = "paused"
        lost = self._lost + (self._log.lost if self._log else 0)
        client.send(
            wire.frame(
                wire.CONTROL,
                b'{"status":"%s","pid":%d,"started":%r,"log_bytes_lost":%d}'
                % (status.encode(), self.child.pid, self.started, lost),
            )
        )

    def _frozen(self) -> bool:
        return bool(self.made.freezer) and light.says_frozen(self.made.freezer)

    def _attach(self, client: Connection, _: dict[str, Any]) -> None:
        self._join_session(client)
        client.send(wire.OK)

    def _join_session(self, client: Connection) -> None:
        client.session = self.session
        self.session.clients.append(client)

    def _wait(self, client: Connection, _: dict[str, Any]) -> None:
        if self.exit:
            client.send(self.exit)
        else:
            self.waiters.append(client)

    def _signal(self, client: Connection, message: dict[str, Any]) -> None:
        if self.exit:
            raise StartFailed("kill: the container is not running", 125)
        number = int(message["number"])
        if message.get("everyone") and not self.made.cgroup:
            raise StartFailed("kill: everyone: this container has no control group", 125)
        if message.get("everyone"):
            group.signal_all(self.made.cgroup, number)
        else:
            os.kill(self.child.pid, number)
        client.send(wire.OK)

    def _interrupt(self, client: Connection, message: dict[str, Any]) -> None:
        number = int(message["number"])
        if client.command:
            self.commands.signal(client.command, number)
        elif client.session is not None:
            os.kill(self.child.pid, number)

    def _resize(self, client: Connection, message: dict[str, Any]) -> None:
        """The size of the client's terminal, or of the container's where it has none."""
        session = client.session or self.session
        descriptor = session.terminal_descriptor()
        if descriptor >= 0:
            rows, columns = (int(message[name]) & 0xFFFF for name in ("rows", "columns"))
            self._terminal().resize(descriptor, rows, columns)

    def _end_input(self, client: Connection, _: dict[str, Any]) -> None:
        if client.session is not None:
            client.session.end_input()

    def _reopen_log(self, client: Connection, _: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.reopen()
        elif self.made.log:
            self._open_log(self.made.log)
        client.send(wire.OK)

    def _watch(self, client: Connection, message: dict[str, Any]) -> None:
        self.on_exit = tuple(map(str, message["on_exit"]))
        client.send(wire.OK)

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
            if pid == self.child.pid:
                self._ended(code)
            elif pid in self._errands:
                self._errands.pop(pid)(code)
            elif self._commands is not None:
                self._commands.ended(pid, code)

    def _ended(self, code: int) -> None:
        """The container's first process has ended, and with it everything in its pid namespace."""
        if self.exit:
            return
        if self._handshake is not None:
            self._handshake.end()
        if self._start_failure is not None:
            code = self._start_failure.exit_code
        self.session.drain()
        if self._log is not None:
            self._log.close()
        if self.health is not None:
            self.health.end()
        self.exit = wire.ended(code, light.oom_kills(self.made.oom) > 0, wall())
        self.status = "stopped"
        path = wire.exit_path(self.made.state_dir)
        file = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.write(file, self.exit[wire.HEADER.size :])
        os.close(file)
        os.replace(f"{path}.new", path)


def look_after(
    made: Made,
    held: Held,
    built: Callable[[], Rest | None],
    monitor: Callable[[Made, Held], Monitor] = Monitor,
    *,
    settles: bool = False,
) -> None:
    """Be the monitor of a container, to its end. ``built``: waits until it is; None: it cannot."""
    try:
        looking = monitor(made, held)
        looking.settles = settles
        rest = built()
        if rest is None:
            return
        looking.begin(rest)
        looking.run()
    except BaseException:  # nobody listens any more: whoever looks for the reason finds it here
        import traceback

        with open(f"{made.state_dir}/monitor.error", "w") as file:
            traceback.print_exc(file=file)
        raise
