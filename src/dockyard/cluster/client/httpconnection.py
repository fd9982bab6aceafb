"""Turns bytes of one connection into answers: whole ones, or lines as they come."""

from __future__ import annotations

import asyncio
import socket

import httptools

from dockyard.base.aio.queues import Channel
from dockyard.base.errors import Unavailable

HIGH, LOW = 256, 32
"""Lines that wait for a slow reader before the server is made to wait, and until when."""
LARGEST_LINE = 16 * 1024 * 1024
"""Bytes of one event; an object has 1.5 MB at most."""
KEEPALIVE = (
    (socket.SO_KEEPALIVE, socket.SOL_SOCKET, 1),
    (socket.TCP_KEEPIDLE, socket.IPPROTO_TCP, 15),
    (socket.TCP_KEEPINTVL, socket.IPPROTO_TCP, 5),
    (socket.TCP_KEEPCNT, socket.IPPROTO_TCP, 3),
    (socket.TCP_NODELAY, socket.IPPROTO_TCP, 1),
)
"""A peer that vanishes without a word is found out within 30 s, also under a silent watch."""


class Answer:
    """A response whose head has come. Its body is whole, or a channel of lines."""

    __slots__ = ("body", "lines", "retry_after", "status", "warnings")

    def __init__(
        self, status: int, retry_after: str, lines: Channel[bytes] | None, warnings: list[str]
    ) -> None:
        self.status, self.retry_after, self.lines = status, retry_after, lines
        self.warnings = warnings
        self.body = b""


class HttpConnection(asyncio.Protocol):
    """One exchange at a time; afterwards :attr:`reusable` says whether there may be another."""

    def __init__(self) -> None:
        self.reusable = False
        self.answered = False
        """Whether the server has sent anything since the last request."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._streaming = False
        self._body: list[bytes] = []
        self._retry_after = ""
        self._warnings: list[str] = []
        self._unfinished: list[bytes] = []
        self._unfinished_size = 0
        self._paused = False

    async def exchange(self, request: bytes, *, stream: bool = False) -> Answer:
        """Send a request. Of a stream that is answered with 200, the lines come as they come."""
        if self._transport is None or self._transport.is_closing():
            raise Unavailable("the connection is closed")
        self.reusable = self.answered = False
        self._streaming = stream
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            self.close()
            raise

    async def next_line(self, answer: Answer) -> bytes:
        """The next line of a stream. Raises Closed at its end, Unavailable where it broke."""
        assert answer.lines is not None
        line = await answer.lines.get()
        if self._paused and len(answer.lines) <= LOW and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return line

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's TLS transport is one in all but its base class
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        found = transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            for option, level, value in KEEPALIVE:
                found.setsockopt(level, option, value)

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        self._fail(str(error) if error else "the server closed the connection")

    def data_received(self, data: bytes) -> None:
        self.answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"not HTTP: {error}")
            self.close()

    def _fail(self, why: str) -> None:
        error = Unavailable(why)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        if self._answer is not None and self._answer.lines is not None:
            self._answer.lines.close(error)
        self._answer = None

    # httptools

    def on_message_begin(self) -> None:
        self._body, self._retry_after, self._warnings = [], "", []

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name.lower() == b"warning":
            self._warnings.append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        lines: Channel[bytes] | None = Channel() if self._streaming and status == 200 else None
        self._answer = Answer(status, self._retry_after, lines, self._warnings)
        if lines is not None and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def on_body(self, chunk: bytes) -> None:
        if self._answer is None:
            return
        if self._answer.lines is None:
            self._body.append(chunk)
            return
        first, *others = chunk.split(b"\n")
        self._unfinished.append(first)
        self._unfinished_size += len(first)
        for part in others:
            self._answer.lines.put(b"".join(self._unfinished))
            self._unfinished, self._unfinished_size = [part], len(part)
        if self._unfinished_size > LARGEST_LINE:
            self._fail(f"a line of more than {LARGEST_LINE} bytes")
            self.close()
        elif len(self._answer.lines) > HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:  # 1xx: the answer itself comes next
            return
        self.reusable = bool(self._parser.should_keep_alive())
        answer.body = b"".join(self._body)
        if answer.lines is not None:
            answer.lines.close()
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)
