"""Turns this terminal (or these pipes) into a container's standard streams, until it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.interfaces.ociruntime import Stream

DETACH_KEYS = b"\x10\x11"
"""ctrl-p ctrl-q: leave, and let the container run."""
PIECE = 65536
FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)


class Detached(Exception):
    """The user typed the detach keys."""


def window() -> tuple[int, int] | None:
    """Rows and columns of the terminal on standard output; None where it is none."""
    import fcntl
    import termios

    if not os.isatty(1):
        return None
    packed = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", packed)
    return rows, columns


def pump(stream: Stream, *, stdin: bool, terminal: bool) -> int | None:
    """Carry bytes until the program ends: its exit code. Raises :class:`Detached`."""
    with _raw(terminal and stdin), _resizing(stream, terminal):
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLIN)
        if stdin:
            poll.register(0, select.POLLIN)
        typed = b""
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == 0:
                    data = os.read(0, PIECE)
                    if not data:
                        poll.unregister(0)
                        stream.close_stdin()
                        continue
                    if terminal:
                        typed = (typed + data)[-2:]
                        if typed == DETACH_KEYS:
                            raise Detached
                    stream.write(data)
                    continue
                frame = stream.read()
                if frame is None:
                    return stream.exit_code()
                _write(1 if frame.stream == 1 else 2, frame.data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextlib.contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """The terminal without echo and line editing: the container's own terminal does that."""
    if not wanted or not os.isatty(0):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(stream: Stream, wanted: bool) -> Iterator[None]:
    """Tell the container when the window changes."""
    if not wanted:
        yield
        return

    def tell(*_: object) -> None:
        if found := window():
            stream.resize(*found)

    before = signal.signal(signal.SIGWINCH, tell)
    tell()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def check_terminal(stdin: bool, terminal: bool) -> None:
    """Docker's refusal of ``-it`` where standard input is no terminal."""
    if stdin and terminal and not os.isatty(0):
        print("the input device is not a TTY", file=sys.stderr)
        raise SystemExit(1)
