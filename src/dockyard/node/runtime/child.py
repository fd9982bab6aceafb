"""Turns the monitor's side of a start into a child: its pid, its streams, what its start said."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # see :mod:`.loop`
import _socket
import os
from _socket import socket as Plain  # a monitor touches less memory with it

from dockyard.base.linux import passing
from dockyard.base.suppress import suppress
from dockyard.interfaces.startfailed import StartFailed
from dockyard.node.runtime import wire
from dockyard.node.runtime.messages import LONGEST_MESSAGE, PID, READY, START
from dockyard.node.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from dockyard.node.runtime import init
    from dockyard.node.runtime.attendant import Attendant
    from dockyard.node.runtime.made import Made
    from dockyard.node.runtime.newborn import Newborn


class Child:
    """A forked process on its way to its program. Messages: see :mod:`..init`."""

    sync: Plain

    def __init__(
        self, terminal: bool, open_stdin: bool, program: str, stdio: init.Stdio | None = None
    ) -> None:
        """``stdio``: descriptors of this process that it shall have; else it gets pipes."""
        sync, self._theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._be(terminal, program)
        self.sync = sync
        try:
            self.stdio = stdio or self._open_streams(open_stdin)
        except OSError:
            self.abandon()  # it has been given some of them
            raise

    def _be(self, terminal: bool, program: str) -> None:
        self.terminal, self._program = terminal, program
        self.pid = 0
        self.attendant: Attendant | None = None
        """Who does what it cannot do itself; None: it needs nobody."""
        self.moved: Callable[[int], None] | None = None
        """Called with the pid that it had when a sibling goes on in its place."""
        self.between: Plain | None = None
        """The way to a monitor whose child it shall be, which stands above this process."""
        self.cradle = -1
        """A control group of version 2 that it shall be born in; -1 afterwards: it was not."""
        self.streams = Streams(-1, -1, -1)
        self._given: list[int] = []

    @classmethod
    def of(cls, made: Made, streams: Streams) -> Child:
        """One that somebody else makes, or that runs."""
        child = cls.__new__(cls)
        child._be(made.terminal, made.program)
        child.pid, child.streams = made.pid, streams
        return child

    def join(self, sync: int) -> None:
        """It has been made, and waits to be started; the other end is its own alone."""
        self.sync = self._theirs = Plain(fileno=sync)

    def _open_streams(self, open_stdin: bool) -> init.Stdio:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._given.append(null)
        if self.terminal:
            return null, null, null
        out = self._pipe()
        self.streams = Streams(-1, out[0], -1)
        err = self._pipe()
        self.streams = Streams(-1, out[0], err[0])
        if not open_stdin:
            return null, out[1], err[1]
        in_, ours = os.pipe()
        self._given.append(in_)
        self.streams = Streams(ours, out[0], err[0])
        return in_, out[1], err[1]

    def _pipe(self) -> tuple[int, int]:
        ours, given = os.pipe()
        self._given.append(given)
        return ours, given

    def fork(self, body: Callable[[Plain], NoReturn]) -> None:
        """Start the process; ``body`` runs in it and gets its end of the socket."""
        from dockyard.base.linux.door import through  # ctypes: who only waits does without

        if self.between is not None:
            self.pid = _fork_beside()
        elif self.cradle < 0 or not self._fork_into():
            self.pid = through("clone", os.fork)
        if self.pid == 0:
            try:
                _signal.set_wakeup_fd(-1)  # it is the monitor's
                self.sync.close()
                if self.between is not None:
                    self.between.close()
                body(self._theirs)
            finally:
                os._exit(1)
        self._theirs.close()
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def _fork_into(self) -> bool:
        """Whether it could be born in its group: that may be full, or have groups below."""
        from dockyard.base.linux import processes

        cradle = self.cradle
        try:
            self.pid = processes.clone3(0, cgroup=cradle).pid
        except OSError:
            self.cradle = -1
        os.close(cradle)
        return self.cradle >= 0

    def be(self, newborn: Newborn) -> None:
        """Instead of a fork: the process that is there already."""
        self.sync.close()
        self._theirs.close()
        self.pid, self.sync = newborn.pid, newborn.sync
        newborn.go(self.stdio)
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def built(self) -> None:
        """Wait until it has built, and may be started. Raises what it said instead."""
        while not self.take():
            pass

    def take(self) -> bool:
        """The next message on its way to being built; whether it is there."""
        try:
            message, descriptors = passing.receive(self.sync, LONGEST_MESSAGE, 1)
        except ConnectionResetError:  # it has left something unread; what it has said comes next
            message, descriptors = passing.receive(self.sync, LONGEST_MESSAGE, 1)
        if message == READY:
            if self.terminal and descriptors:
                self.streams = Streams(descriptors[0], descriptors[0], -1)
            return True
        self._serve(message, descriptors)
        return False

    def _serve(self, message: bytes, descriptors: list[int]) -> None:
        try:
            if message.startswith(PID) and message[len(PID) :].isdigit():
                self._go_on_as(int(message[len(PID) :]))
            elif self.attendant is None or not self.attendant.serve(self, message, descriptors):
                raise failure(message, self._program)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _go_on_as(self, pid: int) -> None:
        """Its sibling is in the namespaces that it has entered."""
        before, self.pid = self.pid, pid
        with suppress(ChildProcessError):  # reaped already
            os.waitpid(before, 0)
        if self.moved is not None:
            self.moved(before)

    def start(self, filter_program: bytes | None) -> None:
        """Let it execute its program, under a seccomp filter."""
        self.sync.send(START + (filter_program or b""))

    def started(self) -> None:
        """Wait until it executes its program. Raises what it said instead."""
        while not self.launched():
            pass

    def launched(self) -> bool:
        """The next message on its way to its program; whether that is executed."""
        message, descriptors = passing.receive(self.sync, LONGEST_MESSAGE, 1)
        if not message:
            return True
        self._serve(message, descriptors)
        return False

    def abandon(self) -> None:
        """The start has failed: end the process and let go of everything."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, _signal.SIGKILL)
        self.sync.close()
        self._theirs.close()
        kept = {stream for stream in self.streams if stream >= 0}
        for descriptor in (*self._given, *kept):
            os.close(descriptor)
        self._given, self.streams = [], Streams(-1, -1, -1)


def _fork_beside() -> int:
    from dockyard.base.linux import processes

    return processes.clone3(processes.CLONE_PARENT).pid


def enter_pid_namespace(path: str | None) -> None:
    """For the children of this process: the container's init and every command in it."""
    from dockyard.base.linux import syscalls

    if path is None:
        syscalls.unshare(syscalls.CLONE_NEWPID)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(descriptor, syscalls.CLONE_NEWPID)
    os.close(descriptor)


def failure(message: bytes, program: str) -> StartFailed:
    """What a child's last message means. What it says is not trusted to be well formed."""
    from dockyard.base.linux import firststep  # most starts do not fail
    from dockyard.node.runtime import execution

    if not message:
        return StartFailed("container init: ended before it could say why", execution.FAILED)
    if len(message) == firststep.REPORT.size:
        (code,) = firststep.REPORT.unpack(message)
        return execution.refusal(program, code)
    try:
        said = wire.parsed(message)
        return StartFailed(str(said["error"]), int(said["code"]))
    except (ValueError, KeyError, TypeError):
        return StartFailed(f"container init: said {message[:80]!r}", execution.FAILED)
