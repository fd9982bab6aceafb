"""Turns a launch into a message to a process that waits to become its monitor, and back."""

from __future__ import annotations

import marshal
import socket
import struct
from _socket import socket as Plain
from typing import Any

from dockyard.base.linux import passing
from dockyard.interfaces.ociruntime import HealthCheck, Launch, Log, Overlay

LARGEST = 16 * 1024 * 1024


def pack(launch: Launch, attach: bool) -> bytes:
    """A launch for the launchpad, which runs the same Python."""
    rootfs = launch.rootfs and tuple(launch.rootfs)
    log = launch.log and tuple(launch.log)
    health = launch.health and tuple(launch.health)
    plain = launch._replace(rootfs=None, log=None, health=None)
    fields: Any = (*plain, rootfs, log, health, attach)
    return marshal.dumps(fields)


def unpack(payload: bytes) -> tuple[Launch, bool]:
    """The launch that :func:`pack` wrote."""
    *fields, rootfs, log, health, attach = marshal.loads(payload)  # noqa: S302 - from our owner
    launch = Launch(*fields)._replace(
        rootfs=Overlay(*rootfs) if rootfs else None,
        log=Log(*log) if log else None,
        health=HealthCheck(*health) if health else None,
    )
    return launch, bool(attach)


def send(connection: Plain, payload: bytes, creator: socket.socket) -> None:
    """Ask the launchpad for a monitor, which will answer on the other end of ``creator``."""
    passing.send(connection, struct.pack(">I", len(payload)), [creator.fileno()])
    connection.sendall(payload)


def receive(control: Plain) -> tuple[bytes, socket.socket] | None:
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
