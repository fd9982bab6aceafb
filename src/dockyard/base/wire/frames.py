"""Turns bytes into WebSocket messages and messages into bytes (RFC 6455, sections 5 to 7)."""

from __future__ import annotations

from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, GOING_AWAY, PROTOCOL, NOT_UTF8, TOO_BIG = 1000, 1001, 1002, 1007, 1009
LARGEST_CONTROL = 125
_SENDABLE = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class Message(NamedTuple):
    """One whole message, or one control frame."""

    opcode: int
    data: bytes


class Broken(Exception):
    """The peer breaks the protocol; the connection ends with this code (section 7.4.1)."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"websocket: {why}")
        self.code, self.why = code, why


class Decoder:
    """Cuts what comes in. ``masked``: the peer is a client, whose frames are all masked."""

    def __init__(self, *, masked: bool, largest: int) -> None:
        self._masked, self._largest = masked, largest
        self._data = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are now complete. Raises :class:`Broken`."""
        self._data += data
        found = []
        while (message := self._frame()) is not None:
            if message:
                found.append(message[0])
        return found

    def _frame(self) -> list[Message] | None:
        """One frame off the buffer; what it completes, if anything. None: more bytes are needed."""
        data = self._data
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        opcode, final, masked = first & 0x0F, bool(first & 0x80), bool(second & 0x80)
        self._check(first, opcode, final, masked)
        length, start = second & 0x7F, 2
        if opcode >= CLOSE and length > LARGEST_CONTROL:
            raise Broken(PROTOCOL, "a control frame is longer than 125 bytes")
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(data) < 2 + width:
                return None
            length, start = int.from_bytes(data[2 : 2 + width]), 2 + width
            if length < (126 if width == 2 else 65536):
                raise Broken(PROTOCOL, "a length is not in its shortest form")
        if self._size + length > self._largest:
            raise Broken(TOO_BIG, f"a message is larger than {self._largest} bytes")
        end = start + (4 if masked else 0) + length
        if len(data) < end:
            return None
        payload = bytes(data[end - length : end])
        if masked:
            payload = mask(payload, bytes(data[start : start + 4]))
        del data[:end]
        return self._take(opcode, final, payload)

    def _check(self, first: int, opcode: int, final: bool, masked: bool) -> None:
        if first & 0x70:
            raise Broken(PROTOCOL, "a reserved bit is set and no extension was agreed on")
        if masked is not self._masked:
            raise Broken(PROTOCOL, "clients mask their frames and servers do not")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken(PROTOCOL, f"unknown opcode {opcode}")
        if opcode >= CLOSE and not final:
            raise Broken(PROTOCOL, "a control frame is fragmented")
        if opcode < CLOSE and (opcode == CONTINUATION) is not bool(self._opcode):
            raise Broken(PROTOCOL, "a message begins inside another one, or goes on before it has")

    def _take(self, opcode: int, final: bool, payload: bytes) -> list[Message]:
        if opcode >= CLOSE:
            return [Message(opcode, payload)]
        if opcode != CONTINUATION:
            self._opcode = opcode
        if payload:  # fragments of nothing may come without end
            self._parts.append(payload)
        self._size += len(payload)
        if not final:
            return []
        whole = Message(self._opcode, b"".join(self._parts))
        self._opcode, self._parts, self._size = 0, [], 0
        if whole.opcode == TEXT:
            try:
                whole.data.decode()
            except UnicodeDecodeError:
                raise Broken(NOT_UTF8, "a text message is not UTF-8") from None
        return [whole]


def encode(opcode: int, data: bytes, masking: bytes = b"") -> bytes:
    """One frame with a whole message; ``masking`` is four random bytes of a client."""
    length, bit = len(data), 0x80 if masking else 0
    if length < 126:
        head = bytes((0x80 | opcode, bit | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, bit | 126)) + length.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, bit | 127)) + length.to_bytes(8)
    return head + masking + mask(data, masking) if masking else head + data


def mask(data: bytes, key: bytes) -> bytes:
    """The data under a key, or out from under it."""
    size = len(data)
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(size)


def close_payload(code: int, why: str = "") -> bytes:
    """What a close frame says."""
    return code.to_bytes(2) + why.encode()[: LARGEST_CONTROL - 2] if code else b""


def close_code(payload: bytes) -> int:
    """The code in a close frame; 1005 where it has none. Raises :class:`Broken`."""
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (code in _SENDABLE or 3000 <= code < 5000):
        raise Broken(PROTOCOL, "a close frame without a code that may be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Broken(NOT_UTF8, "the reason of a close frame is not UTF-8") from None
    return code
