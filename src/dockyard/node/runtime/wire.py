"""Turns messages between a monitor and its clients into frames on a unix socket, and back.

A frame is one byte of kind, four of length (big-endian), and that many bytes. Control frames hold a
JSON object; the others a piece of a standard stream.
"""

from __future__ import annotations

import os
import struct
from _socket import socket as Plain  # a monitor does without `socket`

from dockyard.base import jsontext  # and without `json`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STDIN, STDOUT, STDERR, CONTROL = 0, 1, 2, 3
HEADER = struct.Struct(">BI")
LONGEST = 16 * 1024 * 1024
"""A control frame may carry a whole container specification."""

LONGEST_ADDRESS = 107
"""unix(7): the path of a socket."""


def socket_path(run_dir: str) -> str:
    """Where a container's monitor listens."""
    return f"{run_dir}/monitor.sock"


def exit_path(state_dir: str) -> str:
    """Where the monitor writes how the container ended."""
    return f"{state_dir}/exit.json"


def poststop_path(run_dir: str) -> str:
    """Hooks that are still to run after its end (:mod:`..afterwards`)."""
    return f"{run_dir}/poststop.json"


def health_path(state_dir: str) -> str:
    """Where the monitor writes how the container is."""
    return f"{state_dir}/health.json"


class address:
    """What to bind or connect to; a path that is too long is named through its folder."""

    def __init__(self, path: str) -> None:
        self._path, self._folder = path, -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= LONGEST_ADDRESS:
            return self._path
        folder, name = os.path.split(self._path)
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{name}"

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)


class Broken(Exception):
    """The peer does not speak this protocol, or left in the middle of a frame."""


def frame(kind: int, data: bytes) -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(data)) + data


def control(message: dict[str, Any]) -> bytes:
    """One control frame."""
    return frame(CONTROL, jsontext.dumps(message).encode())


def parsed(payload: bytes) -> Any:
    """What a control frame holds."""
    return jsontext.loads(payload)


def ended(code: int, oom_killed: bool, finished: float) -> bytes:
    """The control frame that says how a container ended."""
    killed = b"true" if oom_killed else b"false"
    return frame(CONTROL, b'{"exit":%d,"oom_killed":%s,"finished":%r}' % (code, killed, finished))


OK = frame(CONTROL, b'{"ok":true}')
PLAIN = {
    f'{{"op":"{operation}"}}'.encode(): {"op": operation}
    for operation in ("start", "state", "wait", "attach")
}
"""Requests that say no more, as clients of ours write them."""


class Decoder:
    """Turns the bytes of a connection into frames, as they come in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are complete now."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if kind > CONTROL or length > LONGEST:
                raise Broken(f"monitor protocol: a frame of kind {kind} and length {length}")
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((kind, bytes(self._buffer[HEADER.size : end])))
            del self._buffer[:end]
        return frames


def receive(connection: Plain) -> tuple[int, bytes] | None:
    """The next frame of a blocking connection; None at its end."""
    head = _exactly(connection, HEADER.size)
    if not head:
        return None
    kind, length = HEADER.unpack(head)
    if kind > CONTROL or length > LONGEST:
        raise Broken(f"monitor protocol: a frame of kind {kind} and length {length}")
    data = _exactly(connection, length)
    return (kind, data) if len(data) == length else None


def _exactly(connection: Plain, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        piece = connection.recv(size - len(parts))
        if not piece:
            return b""
        parts += piece
    return bytes(parts)
