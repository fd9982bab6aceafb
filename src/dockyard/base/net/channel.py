"""Turns a request to a kernel subsystem into netlink(7) messages, and its answers into payloads.

Standard library only. A socket belongs to the network namespace that it was opened in.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

from dockyard.base.linux import door

Self = TypeVar("Self", bound="Channel")

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK, NETLINK_EXT_ACK = 270, 11
NESTED = 0x8000
TYPE_MASK = 0x3FFF
"""Of an attribute's type; the rest says whether it is nested, and its byte order."""
LARGEST = 256 * 1024
MOST_DUMPS = 8
"""A dump during which things changed is asked for again, so many times in all."""

_HEADER = struct.Struct("=IHHII")


class Channel:
    """A netlink socket; a context manager. Errors are ``OSError`` naming what was asked."""

    def __init__(self, protocol: int, opened: socket.socket | None = None) -> None:
        self._socket, self._protocol = opened or open_socket(protocol), protocol
        self._sequence = 0

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(self, kind: int, flags: int, payload: bytes, what: str) -> bytes:
        """Do one thing; the payload of the answer, if there is one besides the acknowledgement."""
        self._send(kind, flags | NLM_F_ACK, payload, what)
        answer = b""
        for reply, reply_flags, data in self._replies():
            if reply == NLMSG_ERROR:
                _raise_for(data, reply_flags, what)
                break
            answer = data
        return answer

    def dump(self, kind: int, payload: bytes, what: str) -> list[bytes]:
        """Every object of a kind: one payload each."""
        for _ in range(MOST_DUMPS):
            found, whole = self._dump(kind, payload, what)
            if whole:
                break
        return found

    def _dump(self, kind: int, payload: bytes, what: str) -> tuple[list[bytes], bool]:
        self._send(kind, NLM_F_DUMP, payload, what)
        found, whole = [], True
        for reply, flags, data in self._replies():
            whole = whole and not flags & NLM_F_DUMP_INTR
            if reply in (NLMSG_DONE, NLMSG_ERROR):
                _raise_for(data, flags, what)
                break
            found.append(data)
        return found, whole

    def _send(self, kind: int, flags: int, payload: bytes, what: str) -> None:
        self._sequence += 1
        size = _HEADER.size + len(payload)
        header = _HEADER.pack(size, kind, flags | NLM_F_REQUEST, self._sequence, 0)
        sent = self._socket.send(header + payload)
        if door.recorder is not None:
            place = self._socket.fileno()
            door.recorder("sendto", (place, self._protocol, kind, what, size), sent)

    def _replies(self) -> Iterator[tuple[int, int, bytes]]:
        """Type, flags and payload of each message of the kernel's to our latest request."""
        while True:
            data, (sender, _) = self._socket.recvfrom(LARGEST)
            if sender != 0:
                continue  # another process: only the kernel is believed
            offset = 0
            while offset + _HEADER.size <= len(data):
                size, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
                if sequence == self._sequence:
                    yield kind, flags, data[offset + _HEADER.size : offset + size]
                offset += max((size + 3) & ~3, _HEADER.size)


def open_socket(protocol: int) -> socket.socket:
    """In the namespace of this thread."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    made.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    return made


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute: length, type, value, padded to four bytes."""
    size = len(data) + 4
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in a payload, as (type, value)."""
    offset = 0
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, offset)
        if size < 4:
            return
        yield kind & TYPE_MASK, data[offset + 4 : offset + size]
        offset += (size + 3) & ~3


def _raise_for(data: bytes, flags: int, what: str) -> None:
    """An error number in an acknowledgement or at a dump's end; the kernel's own words with it."""
    code = -struct.unpack_from("=i", data)[0] if len(data) >= 4 else 0
    if code <= 0:
        return
    words = os.strerror(code)
    if flags & NLM_F_ACK_TLVS:
        start = 4 + _HEADER.size
        if not flags & NLM_F_CAPPED:
            start += struct.unpack_from("=I", data, 4)[0] - _HEADER.size
        text = dict(attributes(data[(start + 3) & ~3 :])).get(NLMSGERR_ATTR_MSG, b"")
        words += f" ({text.rstrip(bytes(1)).decode()})" if text else ""
    raise OSError(code, f"netlink: {what}: {words}")
