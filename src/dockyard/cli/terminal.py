"""Turns this terminal (or these pipes) into a container's standard streams, until it ends.

One loop over three descriptors: the stream, standard input, and the pipe in which signals arrive.
Nothing is ever written from inside a signal handler, and standard input is read only while the
stream takes more, so that a program that does not read its input can still be heard.
"""

from __future__ import annotations

import os
import select
import struct
import sys

from dockyard.base import contexts
from dockyard.base.linux import signals
from dockyard.cli.detachkeys import DEFAULT, Scanner, parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.interfaces.ociruntime import Stream

PIECE = 16384
"""Bytes that a stream takes at once when it says that it is writable."""
FORWARDED = (signals.SIGINT, signals.SIGTERM, signals.SIGHUP, signals.SIGQUIT, signals.SIGUSR1,
             signals.SIGUSR2)  # fmt: skip


class Detached(Exception):
    """The user typed the detach keys."""


def window() -> tuple[int, int] | None:
    """Rows and columns of the terminal on standard output; None where it is none."""
    if not os.isatty(1):
        return None
    import fcntl
    import termios

    packed = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", packed)
    return rows, columns


def pump(
    stream: Stream,
    *,
    stdin: bool,
    terminal: bool,
    proxy: bool = False,
    keys: str = DEFAULT,
    shown: tuple[int, ...] = (1, 2),
) -> int | None:
    """Carry bytes until the program ends: its exit code; None where the stream was cut off.

    ``proxy``: signals of this process go to the program. ``shown``: which of its streams are
    printed. Raises :class:`Detached`.
    """
    scanner = Scanner(parse_keys(keys) if terminal else b"")
    wanted = ((signals.SIGWINCH,) if terminal else ()) + (FORWARDED if proxy else ())
    with _raw(terminal and stdin), _signals(wanted) as arrived:
        return _Pump(stream, arrived, scanner, stdin, shown).run()


class _Pump:
    """The loop and what it waits for."""

    def __init__(
        self,
        stream: Stream,
        arrived: int,
        scanner: Scanner,
        stdin: bool,
        shown: tuple[int, ...] = (1, 2),
    ) -> None:
        self._shown = shown
        self._stream, self._arrived, self._scanner = stream, arrived, scanner
        self._poll = select.poll()
        self._poll.register(stream.fileno(), select.POLLIN)
        self._poll.register(arrived, select.POLLIN)
        if stdin:
            self._poll.register(0, select.POLLIN)
        self._waiting = b""
        """Input that the stream has not taken yet."""
        self._leaving = False

    def run(self) -> int | None:
        self._resize()
        while True:
            for descriptor, events in self._poll.poll():
                if descriptor == self._arrived:
                    self._take_signals()
                elif descriptor == 0:
                    self._read_input()
                else:
                    if events & select.POLLOUT:
                        self._write_input()
                    if events & ~select.POLLOUT and self._show():
                        return self._stream.exit_code()

    def _show(self) -> bool:
        """Print a piece of output; whether it was the end."""
        frame = self._stream.read()
        if frame is None:
            return True
        if frame.stream in self._shown:
            write_all(1 if frame.stream == 1 else 2, frame.data)
        return False

    def _read_input(self) -> None:
        try:
            data = os.read(0, PIECE)
        except OSError:  # a terminal that hung up
            data = b""
        if not data:
            self._poll.unregister(0)
            self._stream.close_stdin()
            return
        self._waiting, self._leaving = self._scanner.feed(data)
        if self._waiting:  # nothing more is read until the stream has taken this
            self._poll.unregister(0)
            self._poll.modify(self._stream.fileno(), select.POLLIN | select.POLLOUT)
        elif self._leaving:
            raise Detached

    def _write_input(self) -> None:
        self._stream.write(self._waiting)
        self._waiting = b""
        if self._leaving:
            raise Detached
        self._poll.modify(self._stream.fileno(), select.POLLIN)
        self._poll.register(0, select.POLLIN)

    def _take_signals(self) -> None:
        for number in os.read(self._arrived, 512):
            if number == signals.SIGWINCH:
                self._resize()
            elif number in FORWARDED:
                self._stream.signal(number)

    def _resize(self) -> None:
        if found := window():
            # it may have ended before anybody looked: what it said is read, and how it ended
            with contexts.suppress(BrokenPipeError, ConnectionResetError):
                self._stream.resize(*found)


def write_all(descriptor: int, data: bytes) -> None:
    """To a file, terminal or pipe, whether it blocks or not."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody has made our output non-blocking: a shell, ssh
            select.select((), (descriptor,), ())


@contexts.contextmanager
def _signals(numbers: tuple[signals.Signals, ...]) -> Iterator[int]:
    """The reading end of a pipe in which the numbers of signals arrive."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signals.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signals.signal(number, _noticed) for number in numbers}
    try:
        yield reading
    finally:
        for number, handler in handlers.items():
            signals.signal(number, handler)
        signals.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _noticed(number: int, frame: object) -> None:
    """The number is in the pipe already."""


@contexts.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """The terminal without echo and line editing: the container's own terminal does that."""
    if not wanted or not os.isatty(0):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)  # what was typed ahead is for the program
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def check_terminal(stdin: bool, terminal: bool) -> None:
    """Docker's refusal of ``-it`` where standard input is no terminal."""
    if stdin and terminal and not os.isatty(0):
        print("dockyard: the input device is not a TTY", file=sys.stderr)
        raise SystemExit(1)
