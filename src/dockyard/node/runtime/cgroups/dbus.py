"""Turns method calls into D-Bus messages on a socket, and answers and signals into values.

As much of the D-Bus specification as a call to systemd takes: authentication by credentials,
messages in little-endian order, no descriptors. systemd answers on a private socket of its own,
without a bus between; so nothing else has to run.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import Corrupt, Denied, Unavailable

CALL, ANSWER, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(
    1, 9
)
_NUMBERS = {
    "y": "B",
    "b": "I",
    "n": "h",
    "q": "H",
    "i": "i",
    "u": "I",
    "x": "q",
    "t": "Q",
    "d": "d",
}
_ALIGNED = {"s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8}
LARGEST = 1 << 20


class Message(NamedTuple):
    """One message."""

    kind: int
    fields: dict[int, Any]
    body: list[Any]

    @property
    def member(self) -> str:
        return str(self.fields.get(_MEMBER, ""))


class Peer:
    """A connection. Each wait is bounded by its socket's timeout."""

    def __init__(self, path: str, seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        self._serial = 0
        self._kept: list[Message] = []
        try:
            self._socket.connect(path)
            self._authenticate()
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"dbus: {path}: {error}") from error

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _authenticate(self) -> None:
        name = str(os.geteuid()).encode().hex()
        self._socket.sendall(b"\0AUTH EXTERNAL " + name.encode() + b"\r\n")
        said = b""
        while not said.endswith(b"\r\n"):
            piece = self._socket.recv(256)
            if not piece or len(said) > 4096:
                raise OSError(0, "authentication: the peer went away")
            said += piece
        if not said.startswith(b"OK "):
            raise Denied(f"dbus: authentication: {said.decode(errors='replace').strip()}")
        # systemd reads 256 bytes at a time until it has seen BEGIN, and looks again at what it has
        # read with it only when more comes: so something comes that is longer and means nothing
        self._serial += 1
        ping = encode(CALL, self._serial, f"/{'x' * 256}", "org.freedesktop.DBus.Peer", "Ping", "",
                      (), flags=NO_REPLY)  # fmt: skip
        self._socket.sendall(b"BEGIN\r\n" + ping)

    def call(
        self, path: str, interface: str, member: str, signature: str, *arguments: Any
    ) -> list[Any]:
        """Call a method; what it answers. An error of the peer's is :class:`Denied`."""
        self._serial += 1
        self._socket.sendall(
            encode(CALL, self._serial, path, interface, member, signature, arguments)
        )
        while True:
            message = self.receive()
            if message.fields.get(_REPLY_SERIAL) != self._serial:
                self._kept.append(message)
                continue
            if message.kind == ERROR:
                text = message.body[0] if message.body else ""
                raise Denied(f"dbus: {member}: {message.fields.get(_ERROR_NAME)}: {text}")
            return message.body

    def signals(self, member: str) -> Iterator[list[Any]]:
        """The bodies of signals of this name, those that have come meanwhile first."""
        kept, self._kept = self._kept, []
        for message in kept:
            if message.kind == SIGNAL and message.member == member:
                yield message.body
        while True:
            message = self.receive()
            if message.kind == SIGNAL and message.member == member:
                yield message.body

    def receive(self) -> Message:
        """The next message."""
        head = self._read(16)
        if head[:1] != b"l" or head[3] != 1:
            raise Corrupt(f"dbus: a message that begins with {head[:4]!r}")
        body_size, _, fields_size = struct.unpack_from("<III", head, 4)
        if body_size > LARGEST or fields_size > LARGEST:
            raise Corrupt(f"dbus: a message of {body_size} bytes")
        padded = -(16 + fields_size) % 8
        rest = self._read(fields_size + padded + body_size)
        return decode(head + rest)

    def _read(self, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size:
                piece = self._socket.recv(size - len(data))
                if not piece:
                    raise Unavailable("dbus: the peer has closed the connection")
                data += piece
        except TimeoutError:
            raise Unavailable("dbus: the peer does not answer") from None
        return data


def encode(
    kind: int, serial: int, path: str, interface: str, member: str, signature: str,
    arguments: tuple[Any, ...], flags: int = 0,
) -> bytes:  # fmt: skip
    """A message (D-Bus specification, "Message Format")."""
    body = bytearray()
    for part, argument in zip(types(signature), arguments, strict=True):
        _put(body, part, argument)
    fields = [(_PATH, ("o", path)), (_INTERFACE, ("s", interface)), (_MEMBER, ("s", member))]
    if signature:
        fields.append((_SIGNATURE, ("g", signature)))
    data = bytearray(struct.pack("<cBBBII", b"l", kind, flags, 1, len(body), serial))
    _put(data, "a(yv)", fields)
    data += b"\0" * (-len(data) % 8)
    return bytes(data + body)


def decode(data: bytes) -> Message:
    """A whole message back."""
    fields, at = _take(data, "a(yv)", 12)
    at += -at % 8
    named = dict(fields)
    body = []
    for part in types(str(named.get(_SIGNATURE, ""))):
        value, at = _take(data, part, at)
        body.append(value)
    return Message(data[1], named, body)


def types(signature: str) -> list[str]:
    """The complete types of a signature: ``sa(sv)`` is ``s`` and ``a(sv)``."""
    found, at = [], 0
    while at < len(signature):
        end = _end_of(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end_of(signature: str, at: int) -> int:
    letter = signature[at : at + 1]
    if letter == "a":
        return _end_of(signature, at + 1)
    if letter in ("(", "{"):
        depth = 1
        while depth:
            at += 1
            if at >= len(signature):
                raise Corrupt(f"dbus: signature {signature!r}")
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[at], 0)
        return at + 1
    if letter not in _NUMBERS and letter not in ("s", "o", "g", "v"):
        raise Corrupt(f"dbus: signature {signature!r}")
    return at + 1


def _alignment(kind: str) -> int:
    letter = kind[0]
    return struct.calcsize(_NUMBERS[letter]) if letter in _NUMBERS else _ALIGNED[letter]


def _put(data: bytearray, kind: str, value: Any) -> None:
    """Append a value; alignment counts from the beginning of the message, which both begin at."""
    data += b"\0" * (-len(data) % _alignment(kind))
    if kind in _NUMBERS:
        data += struct.pack("<" + _NUMBERS[kind], value)
    elif kind in ("s", "o"):
        text = value.encode()
        data += struct.pack("<I", len(text)) + text + b"\0"
    elif kind == "g":
        text = value.encode()
        data += bytes([len(text)]) + text + b"\0"
    elif kind == "v":
        _put(data, "g", value[0])
        _put(data, value[0], value[1])
    elif kind[0] == "a":
        data += b"\0" * 4
        at = len(data) - 4
        data += b"\0" * (-len(data) % _alignment(kind[1:]))
        start = len(data)
        for item in value:
            _put(data, kind[1:], item)
        struct.pack_into("<I", data, at, len(data) - start)
    else:
        for part, item in zip(types(kind[1:-1]), value, strict=True):
            _put(data, part, item)


def _take(data: bytes, kind: str, at: int) -> tuple[Any, int]:
    """(a value, where the next begins)."""
    at += -at % _alignment(kind)
    try:
        if kind in _NUMBERS:
            (value,) = struct.unpack_from("<" + _NUMBERS[kind], data, at)
            return value, at + struct.calcsize(_NUMBERS[kind])
        if kind in ("s", "o", "g"):
            width = 1 if kind == "g" else 4
            size = int.from_bytes(data[at : at + width], "little")
            end = at + width + size
            return data[at + width : end].decode(), end + 1
        if kind == "v":
            inner, at = _take(data, "g", at)
            return _take(data, inner, at)
        if kind[0] == "a":
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
            at += -at % _alignment(kind[1:])
            end, items = at + size, []
            while at < end:
                item, at = _take(data, kind[1:], at)
                items.append(item)
            return items, at
        members = []
        for part in types(kind[1:-1]):
            item, at = _take(data, part, at)
            members.append(item)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise Corrupt(f"dbus: a value of type {kind}: {error}") from error
    return tuple(members), at
