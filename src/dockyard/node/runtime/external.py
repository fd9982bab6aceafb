"""Turns a launch into a container that another runtime's program makes: runc, crun, any like them.

The monitor stays: it holds the streams and the log, waits for the container's first process (which
becomes its child: it is a subreaper, prctl(2)), and asks the program for what only a runtime does.
The root is mounted in the monitor's own mount namespace, and goes with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from _socket import socket as Plain
from collections.abc import Callable, Iterator
from typing import Any

from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.linux import syscalls
from dockyard.base.oci.mountoptions import MS_PRIVATE, MS_REC, MS_SLAVE
from dockyard.interfaces.ociruntime import Launch, StartFailed
from dockyard.node.runtime import terminal
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.child import Child
from dockyard.node.runtime.commands import Command, Commands
from dockyard.node.runtime.connection import Connection
from dockyard.node.runtime.made import Held, Made
from dockyard.node.runtime.maker import Maker
from dockyard.node.runtime.monitor import Monitor
from dockyard.node.runtime.program import Program
from dockyard.node.runtime.rootfs import mount_root
from dockyard.node.runtime.streams import Streams

OLDEST = "1.0.2"
"""The specification's version that has every field of ours: crun 1.8 refuses later ones."""
STRAYS = 256
"""Ends of processes that nobody has named yet; the oldest go."""
Done = Callable[[int], None]


class Foreign(Child):
    """A process that the program makes, with streams of ours."""

    def given(self) -> None:
        """It has them: let go of its ends."""
        self.sync.close()
        self._theirs.close()
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def join(self, sync: int) -> None:
        """There is no way to it but the program."""

    def built(self) -> None:
        """The program has ended: so it is."""

    def take_terminal(self, console: Console) -> None:
        """Its terminal's master, which the program has sent."""
        master = console.receive()
        self.streams = Streams(master, master, -1)

    def abandon(self) -> None:
        self.given()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        for descriptor in {stream for stream in self.streams if stream >= 0}:
            os.close(descriptor)
        self.streams = Streams(-1, -1, -1)


class Console:
    """A socket on which a terminal arrives (runc's ``--console-socket``)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        self._listener.listen(1)
        self._listener.setblocking(False)

    def receive(self) -> int:
        """The terminal, which is there once the program has ended. Raises :class:`StartFailed`."""
        try:
            peer, _ = self._listener.accept()
            with peer:
                peer.setblocking(True)
                peer.settimeout(1.0)
                _, descriptors, _, _ = socket.recv_fds(peer, 4096, 1)
        except OSError as error:
            raise StartFailed(f"runtime: it has sent no terminal: {error}", 125) from error
        if not descriptors:
            raise StartFailed("runtime: it has sent no terminal", 125)
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]

    def close(self) -> None:
        """Let go of it; a second time changes nothing."""
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


@contextlib.contextmanager
def console(run_dir: str, wanted: bool) -> Iterator[Console | None]:
    """A console, where one is wanted."""
    found = Console(f"{run_dir}/tty{os.urandom(4).hex()}") if wanted else None
    try:
        yield found
    finally:
        if found is not None:
            found.close()


def end(program: Program) -> None:
    """Nothing of the container is left, as far as the program can say."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    with contextlib.suppress(DockyardError, OSError):
        program.call("delete", "--force", stdio=(null, null, null))
    os.close(null)
    shutil.rmtree(program.folder, ignore_errors=True)


class ExternalMaker(Maker):
    """Makes a container by another runtime. Only in the process that becomes its monitor."""

    child: Foreign | None

    def __init__(self, launch: Launch, cache: str) -> None:
        super().__init__(launch, cache)
        self.program = Program(launch.runtime, f"{launch.state_dir}/runtime", launch.id)

    def _make(self, between: Plain | None) -> None:
        if os.geteuid() != 0:
            raise Unsupported("runtime: --runtime is not implemented for an ordinary user")
        if self.spec.pause:
            raise Unsupported(f"runtime: {self.launch.runtime}: it has no pause loop for a sandbox")
        self.spec = self.spec._replace(hooks={})  # the program runs them
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        shutil.rmtree(self.program.folder, ignore_errors=True)
        os.makedirs(f"{self.program.folder}/state", 0o700)
        self._mount_root()
        self.program.file("config.json", self._document())
        process = self.spec.process
        made = self.child = Foreign(process.terminal, self.launch.open_stdin, process.args[0])
        self._grouped = True
        pid_file = self.program.name("pid")
        words = ["--bundle", self.program.folder, "--pid-file", pid_file]
        with console(self.launch.run_dir, process.terminal) as found:
            more = ["--console-socket", found.path] if found else []
            self.program.call("create", *words, *more, stdio=made.stdio)
            made.given()
            made.pid = read_pid(pid_file)
            if found:
                made.take_terminal(found)
                if process.size:
                    terminal.resize(made.streams.stdout, *process.size)

    def _unmake(self) -> None:
        super()._unmake()
        end(self.program)

    def _mount_root(self) -> None:
        """Where only this monitor and the program that it starts see it."""
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, MS_REC | MS_SLAVE)
        if self.launch.rootfs is not None:
            mount_root(self.launch.rootfs, self.spec.root)
            syscalls.mount(None, self.spec.root, None, MS_PRIVATE)

    def _document(self) -> dict[str, Any]:
        """The specification; a runtime takes a path without a slash as one below its own group."""
        document: dict[str, Any] = {**self.launch.spec, "ociVersion": OLDEST}
        cgroup = "/" + group.checked(self.spec.cgroup)
        document["linux"] = {**document.get("linux", {}), "cgroupsPath": cgroup}
        return document


class ExternalMonitor(Monitor):
    """The monitor of a container of another runtime."""

    def __init__(self, made: Made, held: Held) -> None:
        super().__init__(made, held)
        self.program = Program(self._launch().runtime, f"{made.state_dir}/runtime", made.id)
        self._commands = self._theirs = ExternalCommands(self)
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._starting: tuple[int, Done] | None = None

    @property
    def commands(self) -> ExternalCommands:
        return self._theirs

    def attendant(self) -> None:
        """The program does it all."""

    def _taken(self, held: Held) -> Foreign:
        child = Foreign(self.made.terminal, False, self.made.program, (0, 1, 2))
        child.given()
        child.pid, child.streams = self.made.pid, held.streams
        return child

    def _start(self, client: Connection, _: dict[str, Any]) -> None:
        if self.status != "created":
            raise StartFailed(f"start: the container is {self.status}, not created", 125)
        pid = self.program.spawn("start", stdio=(self.null, self.null, self.null))
        self.status = "starting"

        def done(code: int) -> None:
            self._starting = None
            error = self.program.failure("start", code) if code else None
            self._started(client, error)
            if error is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.child.pid, signal.SIGKILL)

        self._starting = (pid, done)
        self.commands.await_end(pid, done)

    def _ended(self, code: int) -> None:
        """It may have ended before the program that has started it: that one is heard first."""
        if self._starting is not None:
            pid, done = self._starting
            with contextlib.suppress(ChildProcessError):
                _, status = os.waitpid(pid, 0)
                self.commands.forget(pid)
                done(os.waitstatus_to_exitcode(status))
        super()._ended(code)

    def _close_listener(self) -> None:
        end(self.program)
        super()._close_listener()


class ExternalCommands(Commands):
    """Commands that the program starts in the container."""

    def __init__(self, monitor: ExternalMonitor) -> None:
        super().__init__(monitor)
        self._external = monitor
        self._awaited: dict[int, Done] = {}
        self._strays: dict[int, int] = {}

    def await_end(self, pid: int, done: Done) -> None:
        """Call back with the exit code of a process of ours."""
        self._awaited[pid] = done

    def forget(self, pid: int) -> None:
        self._awaited.pop(pid, None)

    def execute(self, client: Connection, message: dict[str, Any]) -> None:
        monitor = self._external
        process = self.check(message)
        program = monitor.program
        stack = contextlib.ExitStack()
        document = program.name("process")
        program.file(os.path.basename(document), message["process"])
        pid_file = program.name("pid")
        made = Foreign(process.terminal, bool(message.get("stdin")), process.args[0])
        try:
            found = stack.enter_context(console(monitor.made.run_dir, process.terminal))
            words = ["--detach", "--process", document, "--pid-file", pid_file]
            words += ["--console-socket", found.path] if found else []
            tool = program.spawn("exec", *words, stdio=made.stdio)
        except BaseException:
            made.abandon()
            stack.close()
            raise
        made.given()

        def done(code: int) -> None:
            with stack:
                command = Command(made, client, bool(message.get("detach")))
                try:
                    if code:
                        raise program.failure("exec", code)
                    made.pid = read_pid(pid_file)
                    if found:
                        made.take_terminal(found)
                        if process.size:
                            terminal.resize(made.streams.stdout, *process.size)
                except StartFailed as error:
                    self._started(command, error)
                    return
                finally:
                    for path in (document, pid_file):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(path)
            self._by_pid[made.pid] = command
            self._started(command, None)
            if made.pid in self._strays:
                super(ExternalCommands, self).ended(made.pid, self._strays.pop(made.pid))

        self.await_end(tool, done)

    def ended(self, pid: int, code: int) -> None:
        if pid in self._awaited:
            self._awaited.pop(pid)(code)
        elif pid in self._by_pid:
            super().ended(pid, code)
        else:  # maybe a command whose program has not said so yet, or an orphan of the container
            self._strays[pid] = code
            while len(self._strays) > STRAYS:
                del self._strays[next(iter(self._strays))]


def read_pid(path: str) -> int:
    """What a program has written of the process that it made. Raises :class:`StartFailed`."""
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError) as error:
        raise StartFailed(f"runtime: it has written no pid: {error}", 125) from error
