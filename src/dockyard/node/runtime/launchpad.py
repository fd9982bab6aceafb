"""Turns messages on a socket into monitors: a small warm process that only forks.

It is executed, not forked, by whoever owns it, so that it never has threads or an event loop. It
keeps one fork ahead: a spare that waits for the next message, becomes that container's monitor,
and is replaced meanwhile. All end when the socket closes; monitors live on. ``gc.freeze`` keeps
what the monitors share from being copied.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import NoReturn

from dockyard.base.linux import cgroupfs
from dockyard.node.runtime import monitor
from dockyard.node.runtime.launchmessage import receive, unpack
from dockyard.node.runtime.newborn import born

LONGEST_MAKING = 50
"""Milliseconds until the next spare is forked in any case."""
_TAKEN, _MADE = b"x", b"m"


def serve(control: socket.socket, cache: str) -> None:
    """Keep a spare until the socket closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cgroupfs.layout()  # no monitor has to look again
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        taken, say = os.pipe()
        if os.fork() == 0:
            _wait_and_monitor(control, say, cache)
        os.close(say)
        if os.read(taken, 1) != _TAKEN:  # the spare has seen the end of the socket, or was killed
            return
        _leave_alone(taken, control)
        os.close(taken)


def _leave_alone(taken: int, control: socket.socket) -> None:
    """Let the container that is being made have the processors; not if somebody waits already."""
    waiting = select.poll()
    waiting.register(taken, select.POLLIN)
    waiting.register(control, select.POLLIN)
    waiting.poll(LONGEST_MAKING)


def _wait_and_monitor(control: socket.socket, say: int, cache: str) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monitor.become_monitor(control.fileno(), say)
        newborn = born()
        received = receive(control)
        if received is not None:
            os.write(say, _TAKEN)
            control.close()
            payload, creator = received
            if newborn is not None:
                newborn.tell(payload)
            launch, attach = unpack(payload)
            monitor.look_after(launch, cache, creator, attach, newborn, lambda: _say_made(say))
    finally:
        os._exit(0)


def _say_made(say: int) -> None:
    with contextlib.suppress(OSError):
        os.write(say, _MADE)
    os.close(say)


def main() -> None:
    """Arguments: the folder of the package (used before), the socket, the cache folder."""
    _, descriptor, cache = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), cache)
