"""Turns an HTTP connection into a WebSocket, as its server or as its client (RFC 6455).

Messages are taken with ``async for`` or :meth:`WebSocket.receive`; pings are answered on the way.
A reader that does not come stops the peer (nothing is read from the socket any more), and a peer
that does not read stops the writer in :meth:`WebSocket.drain`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Channel, Closed
from dockyard.base.errors import Denied, Unavailable
from dockyard.base.wire import frames
from dockyard.base.wire.frames import BINARY, CLOSE, PING, PONG, Broken, Message
from dockyard.base.wire.http import Connection, Refused, Request, status_line

LARGEST_MESSAGE = 16 * 1024 * 1024
MOST_QUEUED = 64
CLOSE_SECONDS = 5.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocket(asyncio.Protocol):
    """One WebSocket. ``protocol`` is the subprotocol that both sides agreed on."""

    def __init__(
        self, transport: asyncio.Transport, clock: Clock, *, client: bool = False,
        protocol: str = "", largest: int = LARGEST_MESSAGE,
    ) -> None:  # fmt: skip
        self.protocol = protocol
        self.closed_with: int | None = None
        """The code that the peer closed with; 1006 when it went without."""
        self._transport, self._clock, self._client = transport, clock, client
        self._decoder = frames.Decoder(masked=not client, largest=largest)
        self._messages: Channel[Message] = Channel()
        self._deaf = self._closing = False
        self._owed: bytes | None = None
        """The last ping that is not answered yet, for the peer does not read (section 5.5.3)."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = asyncio.Event()

    # messages

    async def receive(self) -> Message | None:
        """The next text or binary message; None after the end."""
        try:
            message = await self._messages.get()
        except Closed:
            return None
        if self._deaf and len(self._messages) < MOST_QUEUED // 2:
            self._deaf = False
            self._transport.resume_reading()
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.receive()) is not None:
            yield message

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        """Send a message. After the end nothing is sent."""
        if not self._closing and not self._transport.is_closing():
            self._transport.write(frames.encode(opcode, data, self._key()))

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent. Raises ConnectionResetError."""
        await self._writable.wait()
        if self._transport.is_closing():
            raise ConnectionResetError("websocket: the peer has gone")

    async def close(self, code: int = frames.NORMAL, why: str = "") -> None:
        """Say that this is the end, and wait a little for the peer to say so too."""
        self._say_close(code, why)
        self._resume()
        try:
            async with self._clock.timeout(CLOSE_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._transport.close()

    def _say_close(self, code: int, why: str = "") -> None:
        if not self._closing:
            payload = frames.close_payload(code, why)
            self.send(payload, CLOSE)
            self._closing = True

    def _key(self) -> bytes:
        return os.urandom(4) if self._client else b""

    def _resume(self) -> None:
        if self._deaf:
            self._deaf = False
            self._transport.resume_reading()

    # asyncio

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._took(message)
        except Broken as broken:
            self._say_close(broken.code, broken.why)
            self._end(broken.code)
            self._transport.close()
        if len(self._messages) > MOST_QUEUED and not self._deaf and not self._closing:
            self._deaf = True
            self._transport.pause_reading()

    def _took(self, message: Message) -> None:
        if message.opcode == PING:
            if self._writable.is_set():
                self.send(message.data, PONG)
            else:
                self._owed = message.data
        elif message.opcode == CLOSE:
            code = frames.close_code(message.data)
            self._say_close(frames.NORMAL if code == 1005 else code)
            self._end(code)
            if not self._client:  # the server ends the connection first (section 7.1.1)
                self._transport.close()
        elif message.opcode != PONG and not self._messages.closed:
            self._messages.put(message)

    def _end(self, code: int) -> None:
        if self.closed_with is None:
            self.closed_with = code
        self._messages.close()
        self._ended.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        if self._owed is not None:
            owed, self._owed = self._owed, None
            self.send(owed, PONG)

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._end(1006)
        self._writable.set()


# the server's handshake


def is_wanted(request: Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.upgrade and request.header(b"upgrade").lower() == "websocket"


def accept(
    request: Request, connection: Connection, clock: Clock, protocols: Sequence[str] = (),
    *, largest: int = LARGEST_MESSAGE,
) -> WebSocket:  # fmt: skip
    """Answer 101 and take the connection over. Raises :class:`Refused`, with nothing written.

    ``protocols``: the subprotocols that are spoken here, the best one first; without any, none is
    negotiated. A client that asks only for others is refused.
    """
    key = request.header(b"sec-websocket-key")
    if request.method != "GET" or not is_wanted(request) or not _is_key(key):
        raise Refused(400, "no WebSocket handshake")
    if request.header(b"sec-websocket-version") != "13":
        raise Refused(426, "WebSocket version 13 is spoken here")
    asked = [name.strip() for line in request.all(b"sec-websocket-protocol")
             for name in line.split(",")]  # fmt: skip
    chosen = next((name for name in protocols if name in asked), "")
    if protocols and not chosen:
        raise Refused(400, f"no subprotocol in common: {', '.join(protocols)} are spoken here")
    lines = [b"Upgrade: websocket", b"Connection: Upgrade",
             b"Sec-WebSocket-Accept: " + answer_to(key)]  # fmt: skip
    if chosen:
        lines.append(b"Sec-WebSocket-Protocol: " + chosen.encode())
    socket = WebSocket(connection.transport, clock, protocol=chosen, largest=largest)
    early = connection.take_over(socket)
    connection.transport.write(status_line(101) + b"\r\n".join([*lines, b"", b""]))
    if early:
        socket.data_received(early)
    return socket


def answer_to(key: str) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


# the client's


class _Handshake(asyncio.Protocol):
    """Reads the server's answer, then passes everything on to the WebSocket."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._data = b""
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if self.head.done() or (not end and len(self._data) < 65536):
            return
        self.rest = rest
        assert isinstance(self.transport, asyncio.Transport) or hasattr(self.transport, "write")
        self.transport.pause_reading()  # type: ignore[attr-defined]
        self.head.set_result(head if end else b"")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.head.done():
            self.head.set_exception(ConnectionResetError("the server closed the connection"))


async def connect(
    host: str, port: int, target: str, clock: Clock, *, tls: ssl.SSLContext | None = None,
    server_name: str = "", headers: Iterable[tuple[str, str]] = (),
    protocols: Sequence[str] = (), largest: int = LARGEST_MESSAGE,
) -> WebSocket:  # fmt: skip
    """A WebSocket to a server. Raises Unavailable, or Denied with what the server answered."""
    where = f"websocket: {host}:{port}{target}"
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {target} HTTP/1.1", f"Host: {server_name or host}:{port}", "Upgrade: websocket",
             "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
             *(f"{name}: {value}" for name, value in headers)]  # fmt: skip
    if protocols:
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(protocols)}")
    try:
        transport, handshake = await asyncio.get_running_loop().create_connection(
            _Handshake, host, port, ssl=tls, server_hostname=(server_name or host) if tls else None
        )
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head = (await handshake.head).decode("latin-1")
    except OSError as error:
        raise Unavailable(f"{where}: {error}") from error
    first, *rest = head.split("\r\n")
    answer = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in rest)}
    agreed = answer.get("sec-websocket-protocol", "")
    if first.split(" ")[1:2] != ["101"]:
        transport.close()
        raise Denied(f"{where}: {first[:200] or 'no HTTP answer'}")
    if answer.get("sec-websocket-accept", "").encode() != answer_to(key) or (
        agreed and agreed not in protocols
    ):
        transport.close()
        raise Unavailable(f"{where}: the server's handshake is none of ours")
    socket = WebSocket(transport, clock, client=True, protocol=agreed, largest=largest)
    transport.set_protocol(socket)
    if handshake.rest:
        socket.data_received(handshake.rest)
    transport.resume_reading()
    return socket
