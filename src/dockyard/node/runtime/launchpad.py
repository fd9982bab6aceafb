"""Turns messages on a socket into monitors: a small warm process that only forks.

It is executed, not forked, by whoever owns it, so that it never has threads or an event loop. It
keeps one fork ahead: a spare that waits for the next message, becomes that container's monitor,
and is replaced meanwhile. All end when the socket closes; monitors live on. ``gc.freeze`` keeps
what the monitors share from being copied.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

from dockyard.base.linux import cgroupfs, passing
from dockyard.interfaces.ociruntime import Launch, Log, Overlay
from dockyard.node.runtime import monitor

LARGEST = 16 * 1024 * 1024
_TAKEN = b"x"


def pack(launch: Launch, attach: bool) -> bytes:
    """A launch for the launchpad, which runs the same Python."""
    rootfs = launch.rootfs and tuple(launch.rootfs)
    log = launch.log and tuple(launch.log)
    fields: Any = (*launch._replace(rootfs=None, log=None), rootfs, log, attach)
    return marshal.dumps(fields)


def unpack(payload: bytes) -> tuple[Launch, bool]:
    """The launch that :func:`pack` wrote."""
    *fields, rootfs, log, attach = marshal.loads(payload)  # noqa: S302 - from our owner only
    launch = Launch(*fields)._replace(
        rootfs=Overlay(*rootfs) if rootfs else None, log=Log(*log) if log else None
    )
    return launch, bool(attach)


def send(connection: socket.socket, payload: bytes, creator: socket.socket) -> None:
    """Ask the launchpad for a monitor, which will answer on the other end of ``creator``."""
    socket.send_fds(connection, [struct.pack(">I", len(payload))], [creator.fileno()])
    connection.sendall(payload)


def receive(control: socket.socket) -> tuple[bytes, socket.socket] | None:
    """What :func:`send` sent; None at the end of the connection."""
    head, descriptors = passing.receive(control, 4, 1)
    if len(head) < 4 or not descriptors:
        return None
    creator = socket.socket(fileno=descriptors[0])
    (size,) = struct.unpack(">I", head)
    payload = bytearray()
    while len(payload) < size <= LARGEST:
        piece = control.recv(size - len(payload))
        if not piece:
            return None
        payload += piece
    return bytes(payload), creator


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
        os.close(taken)


def _wait_and_monitor(control: socket.socket, say: int, cache: str) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monitor.become_monitor(control.fileno(), say)
        received = receive(control)
        if received is not None:
            os.write(say, _TAKEN)
            os.close(say)
            control.close()
            payload, creator = received
            launch, attach = unpack(payload)
            monitor.look_after(launch, cache, creator, attach)
    finally:
        os._exit(0)


def main() -> None:
    """Arguments: the folder of the package (used before), the socket, the cache folder."""
    _, descriptor, cache = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), cache)
