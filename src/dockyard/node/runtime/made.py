"""Turns a container whose init waits into a message from whoever made it to its monitor, and back.

What making takes, in modules, memory and open files, ends with its maker: the monitor gets these
few values and descriptors, as long as the container lives.
"""

from __future__ import annotations

import marshal
import os
import struct
from _socket import socket as Plain

from dockyard.base.linux import passing
from dockyard.node.runtime.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from dockyard.base.record import Record

_HEAD = struct.Struct("=BI")
_MADE, _LAUNCH = 1, 2
_BUILT, _SOLE = b"b", b"s"
MOST = 4
"""Descriptors that come along."""
LogValues = tuple[str, str, int, int, str]


class Made(Record):
    """What a monitor knows of its container; plain values."""

    id: str
    run_dir: str
    state_dir: str
    program: str
    """For errors."""
    pid: int
    terminal: bool
    stdin_once: bool
    cgroup: str
    """Empty: it has none."""
    freezer: str
    """The file that says whether it is paused; empty: it cannot be."""
    oom: str
    """The file that counts what the kernel has killed for want of memory; empty: there is none."""
    groups: tuple[tuple[str, str], ...]
    """Its control group's folders, each with the one above it."""
    home: str
    """The group that its monitor lives in, by ``doors``."""
    doors: tuple[str, ...]
    tree: str
    """Where its root lies among the host's mounts; empty: in a mount namespace."""
    namespaces: int
    """Flags of those that commands join, but for the pid namespace."""
    own_pids: bool
    """Whether it is in a pid namespace that commands enter."""
    staged: bool
    """Whether its init had to enter namespaces before it was born."""
    filter: bytes | None
    early: bool
    """Whether its init has the filter already."""
    log: LogValues | None
    on_exit: tuple[str, ...]
    hooks: tuple[str, ...]
    """Kinds that there are."""
    health: bool
    answer: bytes
    """To whoever asked for it."""
    attach: bool
    """Whether whoever asked has its streams from the beginning."""
    rest: bytes
    """The launch (see :mod:`.launchmessage`) of a container that needs more of it than this."""


class Held(Record):
    """Descriptors: where clients connect, and the standard streams; -1 is none."""

    listener: int
    streams: Streams


class Rest(Record):
    """Descriptors that come when it is built: the way to init, and whoever asked for it."""

    sync: int
    creator: int


def give(way: Plain, made: Made, held: Held) -> None:
    """Send what is there before it is built: the monitor gets ready meanwhile (0.6 ms)."""
    flat = (held.listener, *held.streams)
    places = tuple(descriptor >= 0 for descriptor in flat)
    given = [descriptor for descriptor in flat if descriptor >= 0]
    _send(way, _MADE, marshal.dumps((tuple(made), places)), given)
    for descriptor in set(given):  # a terminal is there twice
        os.close(descriptor)


def give_rest(way: Plain, rest: Rest) -> None:
    """It is built. Let go of it all: only then does the monitor go on, and its death is the end of
    every way to init."""
    passing.send(way, _BUILT, list(rest))
    for descriptor in rest:
        os.close(descriptor)
    way.sendall(_SOLE)


def pass_on(way: Plain, packed: bytes, creator: Plain) -> None:
    """A launch that the monitor carries out itself."""
    _send(way, _LAUNCH, packed, [creator.fileno()])
    creator.close()
    way.sendall(_SOLE)


def _send(way: Plain, kind: int, payload: bytes, descriptors: list[int]) -> None:
    passing.send(way, _HEAD.pack(kind, len(payload)), descriptors)
    way.sendall(payload)


def take(way: Plain) -> tuple[Made, Held] | tuple[bytes, int] | None:
    """What :func:`give` or :func:`pass_on` sent; None: nothing was made, and somebody knows why."""
    head, descriptors = passing.receive(way, _HEAD.size, MOST)
    if len(head) < _HEAD.size:
        return None
    kind, size = _HEAD.unpack(head)
    payload = b""
    while len(payload) < size:
        piece = way.recv(size - len(payload))
        if not piece:
            return None
        payload += piece
    if kind == _LAUNCH:
        way.recv(1)  # or its end, which says the same
        return payload, descriptors[0]
    values, places = marshal.loads(payload)  # noqa: S302 - from our own fork
    order = iter(descriptors)
    listener, in_, out, err = (next(order) if there else -1 for there in places)
    return Made(*values), Held(listener, Streams(in_, out, err))


def take_rest(way: Plain) -> Rest | None:
    """What :func:`give_rest` sent; None: it could not be built, and somebody knows why."""
    message, descriptors = passing.receive(way, len(_BUILT), 2)
    if message != _BUILT:
        return None
    way.recv(1)  # or its end, which says the same
    return Rest(*descriptors)
