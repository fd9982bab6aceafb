"""Turns a process that somebody waits for into its exit code: signals, a terminal, streams.

Signals go to the process. A terminal of the caller's becomes raw and is joined to the process's
own; without one, a standard stream that is a terminal is passed on through a pipe, so that the
container never holds the caller's (it could type into it: ioctl_tty(2), TIOCSTI).
"""

from __future__ import annotations

import os
import select
from types import TracebackType

from dockyard.base.errors import Unavailable
from dockyard.base.linux import signals as signal
from dockyard.base.linux import syscalls
from dockyard.base.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 65536
KEPT = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGURG, signal.SIGPIPE}
"""Signals that are this process's own business, or nobody's."""


class Foreground:
    """Everything between the caller's terminal and one process. Restores what it changes."""

    def __init__(self, *, subreaper: bool) -> None:
        self._pid = 0
        self._master = -1
        self._tty = -1
        self._saved: Any = None
        self._early: list[int] = []
        self._relays: dict[int, int] = {}
        """Reading end -> writing end."""
        self._outputs: set[int] = set()
        """Reading ends of what the process writes: they are read to the end."""
        self._given: list[int] = []
        if subreaper:
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)

    def __enter__(self) -> Foreground:
        for number in set(range(1, signal.NSIG)) - KEPT:
            with suppress(OSError, ValueError):
                signal.signal(number, self._pass_on)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._restore()

    def _pass_on(self, number: int, _frame: object) -> None:
        if number == signal.SIGWINCH and self._tty >= 0:
            self._resize()
        elif self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)
        else:
            self._early.append(number)

    def terminal(self) -> None:
        """Make sure that the caller has a terminal to give."""
        try:
            self._tty = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"open /dev/tty: {error.strerror}; give a --console-socket") from None

    def join_terminal(self, master: int) -> None:
        """The process's terminal: what is typed goes there, what it prints comes here."""
        import termios
        import tty

        self._master = master
        self._resize()
        self._saved = termios.tcgetattr(self._tty)
        tty.setraw(self._tty)
        # lines are ended by the caller's terminal, not by the process's: in a pipe they are whole
        _set_output(self._tty, termios.OPOST, on=True)
        _set_output(master, termios.ONLCR, on=False)
        self._relays = {0: master, master: 1}
        self._outputs = {master}

    def streams(self) -> tuple[int, int, int]:
        """What the process gets as its standard streams."""
        chosen = []
        for number in (0, 1, 2):
            if not os.isatty(number):
                chosen.append(number)
                continue
            reading, writing = os.pipe()
            ours, theirs = (writing, reading) if number == 0 else (reading, writing)
            self._given.append(theirs)
            chosen.append(theirs)
            if number:
                self._relays[ours] = number
                self._outputs.add(ours)
            else:
                self._relays[0] = ours
        return chosen[0], chosen[1], chosen[2]

    def started(self, pid: int) -> None:
        """It is there: pass on what has come meanwhile."""
        self._pid = pid
        for number in self._early:
            self._pass_on(number, None)
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []

    def wait(self, pid: int) -> int:
        """Its exit code, or 128 and the signal that has ended it."""
        self.started(pid)
        code = self._relay(pid) if self._relays else None
        while code is None:
            code = _reap(pid)
        self._restore()
        return code

    def _relay(self, pid: int) -> int | None:
        watched = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        for source in self._relays:
            poll.register(source, select.POLLIN)
        code = None
        try:
            while code is None or self._outputs:
                events = poll.poll(0 if code is not None else None)
                if not events and code is not None:
                    break
                for descriptor, _ in events:
                    if descriptor == watched:
                        code = _reap(pid)
                        if code is not None:
                            poll.unregister(watched)
                    elif not _copy(descriptor, self._relays[descriptor]):
                        poll.unregister(descriptor)
                        self._outputs.discard(descriptor)
                        self._close_input(descriptor)
        finally:
            os.close(watched)
        return code

    def _close_input(self, source: int) -> None:
        if source == 0 and self._master < 0:
            os.close(self._relays[0])

    def _resize(self) -> None:
        size = os.get_terminal_size(self._tty)
        if self._master >= 0:
            from dockyard.node.runtime.terminal import resize

            resize(self._master, size.lines, size.columns)

    def _restore(self) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._tty, termios.TCSADRAIN, self._saved)
            self._saved = None


def _set_output(terminal: int, flag: int, *, on: bool) -> None:
    import termios

    modes = termios.tcgetattr(terminal)
    modes[1] = modes[1] | flag if on else modes[1] & ~flag
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _copy(source: int, target: int) -> bool:
    """What is there, from one to the other. False: no more will come, or nobody wants it."""
    try:
        data = os.read(source, CHUNK)
        while data:
            data = data[os.write(target, data) :]
            if not data:
                return True
    except OSError:  # EIO: the terminal's other end is closed
        pass
    return False


def _reap(pid: int) -> int | None:
    """Take whatever child has ended; an exit code if it was this one."""
    ended, status = os.waitpid(-1, 0)
    if ended != pid:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
