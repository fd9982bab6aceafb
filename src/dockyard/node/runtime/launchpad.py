"""Turns messages on a socket into monitors: a small warm process that only forks.

It is executed, not forked, by whoever owns it, so that it never has threads or an event loop. It
keeps one fork ahead: a spare that waits for the next message, becomes that container's monitor,
and is replaced meanwhile. All end when the socket closes; monitors live on. ``gc.freeze`` keeps
what the monitors share from being copied.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # see :mod:`.spare`
import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import NoReturn

# What a monitor goes on with comes first: it lies close together, and fewer pages are copied.
from dockyard.node.runtime import monitor  # noqa: F401

# isort: split
from dockyard.base.aio.now import monotonic, pause
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime import (  # before it forks: all that those forks need
    alone,  # noqa: F401
    commands,  # noqa: F401
    launchmessage,
    neighbours,
    newborn,  # noqa: F401
    rehearsal,
    spare,
    terminal,  # noqa: F401
)

SECONDS_WITHOUT_ROOM, TRIES = 0.05, 40
UNDISTURBED = 20
"""Milliseconds that a container has the processors for before the next spare is made, unless
somebody asks for that: a short one has ended by then, 1 ms earlier."""
CALM_SECONDS = 0.05
"""Between two containers; where they come closer another is about to, and needs a spare."""
_TAKEN = b"x"


def serve(control: socket.socket, cache: str) -> None:
    """Keep a spare until the socket closes."""
    rehearsal.rehearse()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    complaints = os.dup(2)  # what it says itself is its owner's; its forks have null
    sys.stderr = os.fdopen(complaints, "w")
    spare.prepare()
    cgroupfs.layout()  # no monitor has to look again
    gc.collect()
    kept = neighbours.fill()  # noqa: F841
    gc.freeze()
    gc.disable()
    before = 0.0
    while True:
        taken, say, pid = _fork()
        if pid == 0:
            os.close(complaints)
            _wait_and_monitor(control, say, cache)
        os.close(say)
        if os.read(taken, 1) != _TAKEN:  # the spare has seen the end of the socket, or was killed
            return
        os.close(taken)
        asked = monotonic()
        if asked - before > CALM_SECONDS:
            _leave_alone(control)
        before = asked


def _fork() -> tuple[int, int, int]:
    """A pipe and a fork. Where there is no descriptor, process or memory for them whoever asks for
    a container waits a while; then this process ends, and its owner starts another (launcher.py).
    """
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            taken, say = os.pipe()
            try:
                return taken, say, os.fork()
            except OSError:
                os.close(taken)
                os.close(say)
        pause(SECONDS_WITHOUT_ROOM)
    raise SystemExit("launchpad: no descriptor, process or memory for a container's monitor")


def _leave_alone(control: socket.socket) -> None:
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.poll(UNDISTURBED)


def _wait_and_monitor(control: socket.socket, say: int, cache: str) -> NoReturn:
    def ask() -> spare.Asked | None:
        received = launchmessage.receive(control)
        if received is None:
            return None
        control.close()
        return spare.Asked(cache, *received, taken=lambda: os.write(say, _TAKEN))

    try:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        os.setsid()
        spare.part(ask, control.fileno(), say)
    finally:
        os._exit(0)


def main() -> None:
    """Arguments: the folder of the package (used before), the socket, the cache folder."""
    _, descriptor, cache = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), cache)
