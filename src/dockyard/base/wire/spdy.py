"""Turns a connection that was upgraded to SPDY/3.1 into streams that the client opens.

Over the connection itself (``Upgrade: SPDY/3.1``) or within a WebSocket's binary messages (the
subprotocol ``SPDY/3.1+portforward.k8s.io``). A reader that does not come stops the client.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

from dockyard.base.aio.queues import Channel, Closed
from dockyard.base.wire import spdyframes as frames
from dockyard.base.wire.http import Connection, Refused, Request, status_line

MOST_STREAMS = 512
BACKLOG = 1024 * 1024
"""Of one stream: when as much is unread, nothing more is taken from the connection."""
PIECE = 64 * 1024
CLOSE_SECONDS = 5.0
VERSION_HEADER = b"x-stream-protocol-version"


class Pipe(Protocol):
    """Bytes both ways."""

    async def receive(self) -> bytes | None:
        """Some bytes; None after the end."""

    def send(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        """Raises ConnectionResetError when the client has gone."""

    async def close(self) -> None: ...


class Stream:
    """One stream, opened by the client with these headers (names in lower case)."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number, self.headers = number, headers
        self._session = session
        self._pieces: Channel[bytes] = Channel()
        self._backlog = 0
        self._room = asyncio.Event()
        self._ended = self._peer_ended = False

    async def read(self) -> bytes | None:
        """Some bytes; None after the end. Raises ConnectionResetError after a reset."""
        try:
            piece = await self._pieces.get()
        except Closed:
            return None
        self._backlog -= len(piece)
        if self._backlog <= BACKLOG:
            self._room.set()
        return piece

    def write(self, data: bytes) -> None:
        """Send; after our own end, or a reset, nothing is sent."""
        if not self._ended:
            for start in range(0, len(data), PIECE):
                self._session.send(frames.data(self.number, data[start : start + PIECE]))

    async def drain(self) -> None:
        """Wait until the client has taken most of it. Raises ConnectionResetError."""
        await self._session.pipe.drain()

    def end(self) -> None:
        """Nothing more comes from us."""
        if not self._ended:
            self._ended = True
            self._session.send(frames.data(self.number, b"", fin=True))
            self._forget()

    def reset(self, why: int = frames.CANCEL) -> None:
        """End it both ways."""
        if not (self._ended and self._peer_ended):
            self._session.send(frames.reset(self.number, why))
            self.broken("reset by us")

    def broken(self, why: str) -> None:
        """It is over both ways: readers fail."""
        self._ended = self._peer_ended = True
        self._pieces.close(ConnectionResetError(f"spdy: stream {self.number}: {why}"))
        self._room.set()
        self._forget()

    async def take(self, frame: frames.Frame) -> None:
        """A frame of the client's; waits while too much is unread."""
        if frame.data and not self._pieces.closed:
            self._pieces.put(frame.data)
            self._backlog += len(frame.data)
        if frame.fin:
            self.finish()
        elif self._backlog > BACKLOG:
            self._room.clear()
            await self._room.wait()

    def finish(self) -> None:
        """Nothing more comes from the client."""
        self._peer_ended = True
        self._pieces.close()
        self._forget()

    def _forget(self) -> None:
        if self._ended and self._peer_ended:
            self._session.streams.pop(self.number, None)


class Session:
    """One client's streams. ``run`` reads; streams write on their own."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.streams: dict[int, Stream] = {}
        self._decoder, self._encoder = frames.Decoder(), frames.Encoder()
        self._last = 0

    async def run(self, opened: Callable[[Stream], None]) -> None:
        """Until the client leaves or breaks the protocol; ``opened`` is told of every stream."""
        try:
            while (data := await self.pipe.receive()) is not None:
                for frame in self._decoder.feed(data):
                    await self._took(frame, opened)
        except frames.Broken:
            self.send(frames.away(self._last, frames.PROTOCOL_ERROR))
        finally:
            for stream in list(self.streams.values()):
                stream.broken("the client has gone")

    async def _took(self, frame: frames.Frame, opened: Callable[[Stream], None]) -> None:
        stream = self.streams.get(frame.stream)
        if frame.kind == frames.OPEN:
            self._open(frame, opened)
            await self._answered()
        elif frame.kind == frames.PING:
            if frame.stream & 1:  # the client's; we send none
                self.send(frames.ping(frame.stream))
                await self._answered()
        elif stream is None:
            pass  # it has ended here, and the client does not know yet
        elif frame.kind in (0, frames.HEADERS):
            await stream.take(frame)
        elif frame.kind == frames.RESET:
            stream.broken("reset by the client")

    async def _answered(self) -> None:
        """Who asks and never reads is not asked for more."""
        with contextlib.suppress(ConnectionResetError):  # reading ends by itself
            await self.pipe.drain()

    def _open(self, frame: frames.Frame, opened: Callable[[Stream], None]) -> None:
        if not frame.stream & 1 or frame.stream <= self._last:
            self.send(frames.reset(frame.stream, frames.PROTOCOL_ERROR))
            return
        self._last = frame.stream
        if len(self.streams) >= MOST_STREAMS:
            self.send(frames.reset(frame.stream, frames.REFUSED_STREAM))
            return
        stream = self.streams[frame.stream] = Stream(self, frame.stream, frame.headers)
        self.send(self._encoder.reply(frame.stream))
        if frame.fin:
            stream.finish()
        opened(stream)

    def send(self, data: bytes) -> None:
        self.pipe.send(data)

    def leave(self) -> None:
        """Say that no new stream is taken; the client closes when it has read all."""
        self.send(frames.away(self._last))


class Raw(asyncio.Protocol):
    """A connection's own bytes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pieces: Channel[bytes] = Channel()
        self._writable = asyncio.Event()
        self._writable.set()
        self._deaf = False

    async def receive(self) -> bytes | None:
        try:
            piece = await self._pieces.get()
        except Closed:
            return None
        if self._deaf and not len(self._pieces):
            self._deaf = False
            self._transport.resume_reading()
        return piece

    def send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        await self._writable.wait()
        if self._transport.is_closing():
            raise ConnectionResetError("spdy: the client has gone")

    async def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._pieces.closed:
            self._pieces.put(data)
        if not self._deaf and len(self._pieces) > 1:
            self._deaf = True
            self._transport.pause_reading()

    def eof_received(self) -> bool | None:
        return None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._pieces.close()
        self._writable.set()


def is_wanted(request: Request) -> bool:
    """Whether a request asks for SPDY/3.1."""
    return request.upgrade and request.header(b"upgrade").lower() == "spdy/3.1"


def accept(request: Request, connection: Connection, protocols: tuple[str, ...]) -> Raw:
    """Answer 101 and take the connection over.

    ``protocols``: what is spoken here, the best first. Raises :class:`Refused`.
    """
    asked = [name.strip() for line in request.all(VERSION_HEADER) for name in line.split(",")]
    chosen = next((name for name in protocols if name in asked), "")
    if not chosen:
        raise Refused(403, f"unable to upgrade: unable to negotiate protocol: client supports "
                           f"{asked}, server accepts {list(protocols)}")  # fmt: skip
    pipe = Raw(connection.transport)
    early = connection.take_over(pipe)
    lines = [b"Connection: Upgrade", b"Upgrade: SPDY/3.1",
             b"X-Stream-Protocol-Version: " + chosen.encode()]  # fmt: skip
    connection.transport.write(status_line(101) + b"\r\n".join([*lines, b"", b""]))
    if early:
        pipe.data_received(early)
    return pipe
