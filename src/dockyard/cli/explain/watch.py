"""``run --explain``: a process beside the command that prints each call while it happens.

A process of its own, for the command waits while a container is made, and the socket between must
not fill up. It prints to standard error: standard output is the program's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

from dockyard.base.linux import recording
from dockyard.cli.explain.show import Call, Lecture, Story, as_json

LARGEST = 256 * 1024
_CREDENTIALS = struct.Struct("=iII")


@contextlib.contextmanager
def watching(form: str) -> Iterator[None]:
    """Explain what is done inside, until the program is executed.

    ``form``: ``text``, ``full`` or ``json``.
    """
    reading, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # the pid of whoever sends
    sys.stderr.flush()
    command = os.getpid()
    printer = os.fork()
    if printer == 0:
        code = 1
        try:
            sending.close()
            for number in (signal.SIGINT, signal.SIGQUIT):  # the terminal's; the end comes anyway
                signal.signal(number, signal.SIG_IGN)
            _print_all(reading, form, command)
            code = 0
        except Exception as error:  # it must be seen that more has happened than is told
            _write([f"dockyard: --explain: ended early: {type(error).__name__}: {error}"])
        finally:
            os._exit(code)
    reading.close()
    recording.start(sending)
    try:
        yield
    finally:
        recording.stop()
        os.waitpid(printer, 0)


def _print_all(reading: socket.socket, form: str, command: int) -> None:
    """Until nobody records any more."""
    story = Story(command)
    colour = os.isatty(2) and "NO_COLOR" not in os.environ
    lecture = Lecture(colour, full=form == "full")

    def lines(call: Call) -> Iterable[str]:
        return (as_json(call),) if form == "json" else lecture.lines(call)

    while True:
        data, ancillary, _, _ = reading.recvmsg(LARGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
        if not data:
            break
        pid, _, _ = _CREDENTIALS.unpack(ancillary[0][2])
        for call in story.follow(pid, json.loads(data)):
            _write(lines(call))
    for call in story.rest():
        _write(lines(call))
    if form != "json":
        _write(lecture.end())


def _write(lines: Iterable[str]) -> None:
    """To standard error; a reader who has left is not waited for."""
    view = memoryview("".join(f"{line}\n" for line in lines).encode(errors="replace"))
    with contextlib.suppress(BrokenPipeError):
        while view:
            view = view[os.write(2, view) :]
