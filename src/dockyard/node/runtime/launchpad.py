"""Turns messages on a socket into monitors: a small warm process that only forks.

It is executed, not forked, by whoever owns it, so that it never has threads or an event loop; it
ends when its socket closes. ``gc.freeze`` keeps what the monitors share from being copied.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import sys

from dockyard.interfaces.ociruntime import Launch, Log, Overlay
from dockyard.node.runtime import monitor

LARGEST = 16 * 1024 * 1024


def pack(launch: Launch, attach: bool) -> bytes:
    """A launch as one JSON text."""
    return json.dumps([launch, attach], separators=(",", ":")).encode()


def unpack(payload: bytes) -> tuple[Launch, bool]:
    """The launch that :func:`pack` wrote."""
    fields, attach = json.loads(payload)
    launch = Launch(*fields)
    rootfs = Overlay(tuple(launch.rootfs[0]), *launch.rootfs[1:]) if launch.rootfs else None
    log = Log(*launch.log) if launch.log else None
    return launch._replace(rootfs=rootfs, log=log, on_exit=tuple(launch.on_exit)), bool(attach)


def serve(control: socket.socket, cache: str) -> None:
    """Fork a monitor for each message until the socket closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the monitors
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        head, descriptors, _, _ = socket.recv_fds(control, 4, 1)
        if not head:
            return
        (size,) = struct.unpack(">I", head)
        if size > LARGEST or not descriptors:
            return
        payload = bytearray()
        while len(payload) < size:
            piece = control.recv(size - len(payload))
            if not piece:
                return
            payload += piece
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                launch, attach = unpack(bytes(payload))
                monitor.main(launch, cache, descriptors[0], attach)
            finally:
                os._exit(1)
        os.close(descriptors[0])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
