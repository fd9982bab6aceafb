"""Turns a list of programs into processes that run until somebody says stop.

The one process of a cluster that stays when others crash: it starts the control plane and the node
agent, starts them again when they die, and reaps what they leave behind (it is a child subreaper,
so monitors whose launchpad died become its children). It imports next to nothing: it is meant to be
small and to have nothing that can break.

It holds a lock on ``cluster/supervisor.lock`` (flock(2)), which names its pid: a second one on the
same data root is refused.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys

from dockyard.base.aio.now import monotonic
from dockyard.base.errors import Conflict
from dockyard.base.linux import oomscore

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE = 8.0
"""Seconds a program has to end after SIGTERM."""
LONGEST_PAUSE = 5.0
"""Seconds between two starts of a program that keeps dying."""
STEADY = 10.0
"""Seconds after which a program counts as having started well."""


def lock(path: str) -> int:
    """Take the data root for this process. Returns the descriptor that holds the lock.

    Raises :class:`Conflict` naming the pid that has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode().strip()
        os.close(descriptor)
        raise Conflict(
            f"up: {os.path.dirname(path)}: pid {pid} runs this cluster already; "
            "stop it with `dockyard down`"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


def holder(path: str) -> int | None:
    """The pid that holds the lock; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 20, 0).decode().strip()
        return int(text) if text else None
    else:
        return None
    finally:
        os.close(descriptor)


class Program:
    """One program: its command, its log, and when it may start again."""

    def __init__(self, name: str, command: list[str], log: str) -> None:
        self.name, self.command, self.log = name, command, log
        self.pid = 0
        self.started = 0.0
        self.pause = 0.0
        self.not_before = 0.0

    def start(self, parent: int, libc: ctypes.CDLL) -> None:
        self.started = monotonic()
        pid = os.fork()
        if pid:
            self.pid = pid
            return
        try:  # the child: it dies with its parent, whatever the parent dies of
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.execv(self.command[0], self.command)  # noqa: S606 - the command is ours, no shell
        finally:
            os._exit(127)

    def ended(self) -> None:
        """Decide when to start again: at once the first time, then ever later."""
        now = monotonic()
        self.pid = 0
        steady = now - self.started >= STEADY
        self.not_before = now + (0.0 if steady else self.pause)
        self.pause = 0.2 if steady else min(LONGEST_PAUSE, max(0.2, self.pause * 2))


def supervise(programs: list[Program]) -> None:
    """Run the programs until SIGTERM or SIGINT, then stop them in reverse order."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    watched = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    me = os.getpid()
    while True:
        now = monotonic()
        waiting = [program for program in programs if not program.pid]
        for program in waiting:
            if program.not_before <= now:
                program.start(me, libc)
        pauses = [program.not_before - now for program in programs if not program.pid]
        arrived = (
            signal.sigtimedwait(watched, max(0.0, min(pauses)))
            if pauses
            else signal.sigwaitinfo(watched)
        )
        _reap(programs)
        if arrived is not None and arrived.si_signo != signal.SIGCHLD:
            break
    for program in reversed(programs):
        _stop(program, programs)


def _reap(programs: list[Program]) -> None:
    """Collect every child that has ended, ours and those that others left to us."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for program in programs:
            if program.pid == pid:
                code = os.waitstatus_to_exitcode(status)
                print(f"{program.name}: pid {pid} ended with {code}", file=sys.stderr, flush=True)
                program.ended()


def _stop(program: Program, programs: list[Program]) -> None:
    if not program.pid:
        return
    os.kill(program.pid, signal.SIGTERM)
    deadline = monotonic() + GRACE
    while program.pid and (left := deadline - monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, left)
        _reap(programs)
    if program.pid:
        os.kill(program.pid, signal.SIGKILL)
        while program.pid:
            signal.sigwaitinfo({signal.SIGCHLD})
            _reap(programs)


def main(data_root: str, logs: str, lock_path: str) -> int:
    """Run the control plane and the agent of one data root."""
    held = lock(lock_path)
    oomscore.lower(oomscore.NODE)  # and so its programs; they say where it cannot be

    def program(name: str) -> Program:
        command = [sys.executable, "-m", f"dockyard.boot.{name}", "--data-dir", data_root]
        return Program(name, command, os.path.join(logs, f"{name}.log"))

    supervise([program("control"), program("agent")])
    os.close(held)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
