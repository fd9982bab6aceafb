"""Turns a launch into a message to a process that waits to become its monitor, and back.

A message has two parts: the launch whole, and, of somebody who makes many, what a container's first
processes need of it, read and checked already. Those are fresh forks, in which the same reading is
ten times slower.
"""

from __future__ import annotations

import _socket
import marshal
import struct
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.errors import DockyardError
from dockyard.base.linux import passing
from dockyard.base.oci import runtimespec
from dockyard.base.oci.runtimespec import Spec
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import HealthCheck, Launch, Log, Overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


LARGEST = 16 * 1024 * 1024
_HEAD = struct.Struct(">I")


class Order(NamedTuple):
    """What a message says."""

    launch: Launch
    """Without its document, where that was read already."""
    spec: Spec
    attach: bool
    filter: bytes | None
    """The seccomp filter, if it was made already."""


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


def message(launch: Launch, attach: bool, cache: str) -> bytes:
    """Of a launch, read ahead. One that cannot be read is refused by who carries it out."""
    short = b""
    with contexts.suppress(DockyardError, OSError):
        if not launch.runtime:
            short = _read_ahead(launch, attach, cache)
    return join(pack(launch, attach), short)


def _read_ahead(launch: Launch, attach: bool, cache: str) -> bytes:
    import _pickle  # `pickle` brings `re` and more

    from dockyard.base.linux import seccomp  # a command reads nothing ahead

    spec, made = runtimespec.parse(launch.spec), None
    if profile := spec.seccomp:  # its rules are most of a document
        made = seccomp.filter_for(profile, cache)
        rest = {name: value for name, value in profile.items() if name != "syscalls"}
        spec = spec._replace(seccomp=rest)
    return _pickle.dumps(Order(launch._replace(spec={}), spec, attach, made), 5)


def join(whole: bytes, short: bytes = b"") -> bytes:
    """A message of its two parts."""
    return _HEAD.pack(len(short)) + short + whole


def split(payload: bytes) -> tuple[bytes, bytes]:
    """The whole launch, for :func:`unpack`, and what was read ahead, which may be empty."""
    (size,) = _HEAD.unpack_from(payload)
    return payload[_HEAD.size + size :], payload[_HEAD.size : _HEAD.size + size]


def order(whole: bytes, short: bytes) -> Order:
    """What a message's parts say. Raises what is wrong with the document."""
    if short:
        import _pickle

        found: Order = _pickle.loads(short)
        return found
    launch, attach = unpack(whole)
    return Order(launch, runtimespec.parse(launch.spec), attach, None)


def send(connection: Plain, payload: bytes, creator: _socket.socket) -> None:
    """Ask the launchpad for a monitor, which will answer on the other end of ``creator``."""
    passing.send(connection, struct.pack(">I", len(payload)), [creator.fileno()])
    connection.sendall(payload)


def receive(control: Plain) -> tuple[bytes, _socket.socket] | None:
    """What :func:`send` sent; None at the end of the connection."""
    head, descriptors = passing.receive(control, 4, 1)
    if len(head) < 4 or not descriptors:
        return None
    creator = _socket.socket(fileno=descriptors[0])
    (size,) = struct.unpack(">I", head)
    payload = bytearray()
    while len(payload) < size <= LARGEST:
        piece = control.recv(size - len(payload))
        if not piece:
            return None
        payload += piece
    return bytes(payload), creator
