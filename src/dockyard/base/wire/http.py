"""Turns bytes of a connection into HTTP/1.1 requests, and answers into bytes (RFC 9112).

A raw asyncio protocol on httptools: an ASGI stack is four times slower. What could be read in two
ways is refused, never guessed at: two lengths, a length beside a transfer coding, a folded line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import httptools

from dockyard.base.aio.clock import Clock, Handle

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 200
LARGEST_BODY = 3 * 1024 * 1024
HEAD_SECONDS = 30.0
"""A client has this long for the head of a request, once it has begun."""
IDLE_SECONDS = 300.0
HIGH_WATER = 1024 * 1024

REASONS = {status.value: status.phrase for status in HTTPStatus}


class Request:
    """One request, whole."""

    __slots__ = ("body", "headers", "keep_alive", "method", "target", "upgrade", "version")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case, in their order."""
        self.body = b""
        self.keep_alive = True
        self.upgrade = False

    def header(self, name: bytes) -> str:
        """The value of a header; empty where it is missing."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    def all(self, name: bytes) -> list[str]:
        """Every value of a header."""
        return [value.decode("latin-1") for key, value in self.headers if key == name]


class Handler(Protocol):
    """Answers requests. An awaitable is awaited before the connection's next request."""

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None] | None: ...


class Refused(Exception):
    """A request that is answered with a status and ends its connection."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Connection(asyncio.Protocol):
    """One client. A handler answers with :meth:`respond`, or with begin, write and end."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        largest_body: int = LARGEST_BODY,
        register: Callable[[Connection, bool], None] | None = None,
    ) -> None:
        self._handler, self._clock, self._largest_body = handler, clock, largest_body
        self._register = register
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._sizes = [0, 0]
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: Handle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = self._closing = False
        self._taken: asyncio.Protocol | None = None
        self._answering = self._chunked = False
        self.transport: asyncio.Transport
        self.closed = False
        self.user: object = None
        """For the handler: what it knows of this client."""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        if self._register is not None:
            self._register(self, True)
        self._wait(IDLE_SECONDS)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._stop_timer()
        if self._register is not None:
            self._register(self, False)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._taken is not None:
            self._taken.connection_lost(error)
        elif self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._taken is not None:
            self._taken.data_received(data)
            return
        try:
            if b"\n " in data or b"\n\t" in data:
                self._refuse_folding(data)
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade = data[upgrade.args[0] :]
            self._next()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            refused = cause if isinstance(cause, Refused) else Refused(400, "bad request")
            self._refuse(refused)
        except httptools.HttpParserError as error:
            self._refuse(Refused(400, str(error)))
        except Refused as refused:
            self._refuse(refused)

    def _refuse_folding(self, data: bytes) -> None:
        head = data.partition(b"\r\n\r\n")[0]
        if self._request.method == "" and (b"\n " in head or b"\n\t" in head):
            raise Refused(400, "a header line is folded")

    def eof_received(self) -> bool | None:
        if self._taken is not None:
            return self._taken.eof_received()
        return None

    def pause_writing(self) -> None:
        self._paused = True
        if self._taken is not None:
            self._taken.pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._taken is not None:
            self._taken.resume_writing()

    # httptools

    def on_message_begin(self) -> None:
        self._request = Request()
        self._body, self._sizes = [], [0, 0]
        self._wait(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._request.target += url
        self._count_head(len(url), 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._request.headers
        headers.append((name.lower(), value))
        self._count_head(len(name) + len(value), 431)
        if len(headers) > MOST_HEADERS:
            raise Refused(431, "too many headers")

    def _count_head(self, size: int, status: int) -> None:
        self._sizes[0] += size
        if self._sizes[0] > LARGEST_HEAD:
            raise Refused(status, "the head of the request is too large")

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode()
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        request.upgrade = self._parser.should_upgrade()
        lengths = request.all(b"content-length")
        codings = request.all(b"transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Refused(400, "more than one length")
        if codings and codings[0].strip().lower() != "chunked":
            raise Refused(400, "an unknown transfer coding")
        if len(request.all(b"host")) != 1 and request.version == "1.1":
            raise Refused(400, "not one Host header")
        if lengths and int(lengths[0]) > self._largest_body:
            raise Refused(413, f"Request entity too large: limit is {self._largest_body}")
        if request.header(b"expect").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._sizes[1] += len(body)
        if self._sizes[1] > self._largest_body:
            raise Refused(413, f"Request entity too large: limit is {self._largest_body}")
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._request.body = b"".join(self._body)
        self._stop_timer()
        self._waiting.append(self._request)
        if len(self._waiting) > 16:
            self.transport.pause_reading()
        if not self._request.upgrade:
            self._next()

    # one request after the other

    def _next(self) -> None:
        while self._waiting and self._task is None and not self._closing:
            request = self._waiting.popleft()
            self._current, self._answering = request, True
            work = self._handler(request, self)
            if work is not None:
                self._task = asyncio.get_running_loop().create_task(self._finish(work))

    async def _finish(self, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._task = None
        if self._answering and self._taken is None and not self.closed:
            self.transport.close()  # the handler gave up in the middle
            return
        if not self._closing:
            self.transport.resume_reading()
            self._next()

    def _refuse(self, refused: Refused) -> None:
        if self._task is None and not self._closing:
            body = str(refused).encode()
            self._current = Request()
            self._current.keep_alive = False
            self.respond(refused.status, b"Content-Type: text/plain\r\n", body)
        self.transport.close()

    # answering

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer. ``headers``: lines, each with its CRLF."""
        keep = self._current.keep_alive and not self._closing
        head = b"HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n%s\r\n" % (
            status,
            REASONS.get(status, "").encode(),
            headers,
            len(body),
            b"" if keep else b"Connection: close\r\n",
        )
        if self._current.method == "HEAD":
            body = b""
        self._answering = False
        if not self.closed:
            self.transport.write(head + body)
            if keep:
                self._wait(IDLE_SECONDS)
            else:
                self.transport.close()

    def begin(self, status: int, headers: bytes, length: int | None = None) -> None:
        """The head of an answer that comes in pieces: in chunks, or of a length that is known."""
        request = self._current
        bodiless = request.method == "HEAD" or status in (204, 304)
        self._chunked = length is None and not bodiless and request.version == "1.1"
        lines = headers
        if length is not None:
            lines += b"Content-Length: %d\r\n" % length
        elif self._chunked:
            lines += b"Transfer-Encoding: chunked\r\n"
        elif not bodiless:
            request.keep_alive = False  # to HTTP/1.0 the end of the connection is the body's end
        if not request.keep_alive or self._closing:
            lines += b"Connection: close\r\n"
        reason = REASONS.get(status, "").encode()
        self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, lines))

    def write(self, chunk: bytes) -> None:
        """A piece of an answer."""
        if not chunk or self.closed:
            return
        if self._chunked:
            self.transport.writelines([b"%x\r\n" % len(chunk), chunk, b"\r\n"])
        else:
            self.transport.write(chunk)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written."""
        while self._paused and not self.closed:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.closed:
            raise ConnectionResetError("the client has gone")

    def end(self) -> None:
        """The end of an answer that came in pieces."""
        self._answering = False
        if not self.closed:
            if self._chunked:
                self.transport.write(b"0\r\n\r\n")
            self._wait(IDLE_SECONDS)
            if not self._current.keep_alive or self._closing:
                self.transport.close()

    def take_over(self, protocol: asyncio.Protocol) -> bytes:
        """Give the connection away, after an upgrade; what came behind the request is returned."""
        self._stop_timer()
        self._taken, self._answering = protocol, False
        return getattr(self, "_after_upgrade", b"")

    def close_soon(self) -> None:
        """Answer what is being answered, then close."""
        self._closing = True
        if self._task is None:
            self.transport.close()

    # time

    def _wait(self, seconds: float) -> None:
        self._stop_timer()
        if not self.closed:
            self._timer = self._clock.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
