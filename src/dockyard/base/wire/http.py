"""Turns bytes of a connection into HTTP/1.1 requests, and answers into bytes (RFC 9112).

A raw asyncio protocol on httptools: an ASGI stack is four times slower. What could be read in two
ways is refused, never guessed at: two lengths, a length beside a transfer coding, a folded line
(the parser's part), a second Host, a coding that is not ``chunked``, fields behind the body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import httptools

from dockyard.base.aio.clock import Clock, Handle
from dockyard.base.wire.incoming import Incoming

LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 200
LARGEST_BODY = 3 * 1024 * 1024
HEAD_SECONDS = 30.0
"""A client has this long for the head of a request, once it has begun."""
BODY_SECONDS = 60.0
IDLE_SECONDS = 300.0
TICK_SECONDS = 10.0
"""How late a client that is over its time may be found out: a timer a request would cost more."""
TOO_MUCH = (413, 414, 431)
LINGER_SECONDS = 5.0
"""How long what a client sends behind a refusal of its size is read and dropped: closing on unread
bytes resets the connection, and the answer is lost with it (RFC 9112, 9.6)."""
HIGH_WATER = 1024 * 1024
PLAIN = b"Content-Type: text/plain\r\n"

LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class Request:
    """One request, whole, or whole but for its body."""

    __slots__ = ("body", "headers", "incoming", "keep_alive", "method", "target", "upgrade",
                 "version")  # fmt: skip

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case, in their order."""
        self.body = b""
        self.incoming: Incoming | None = None
        """The body of a request that is handled before it is whole; ``body`` stays empty then."""
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


def plainly(status: int, why: str) -> tuple[bytes, bytes]:
    """What a refused request is told: header lines and a body."""
    return PLAIN, why.encode()


class Connection(asyncio.Protocol):
    """One client. A handler answers with :meth:`respond`, or with begin, write and end."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        largest_body: int = LARGEST_BODY,
        register: Callable[[Connection, bool], None] | None = None,
        refusal: Callable[[int, str], tuple[bytes, bytes]] = plainly,
        streams: Callable[[Request], bool] | None = None,
    ) -> None:
        """``refusal``: the words for a request that no handler sees. ``streams``: whether a
        request's handler reads its body as it comes; its size is the handler's to bound."""
        self._handler, self._clock, self._largest_body = handler, clock, largest_body
        self._most_bytes = 2 * largest_body + LARGEST_HEAD
        """What the parser may have of one message: it keeps what is not whole yet."""
        self._register, self._refusal, self._streams = register, refusal, streams
        self._incoming: Incoming | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request = self._current = Request()
        self._in_head = False
        self._head_size = self._body_size = self._fed = 0
        self._body: list[bytes] = []
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: Handle | None = None
        self._deadline = 0.0
        self._drained: asyncio.Future[None] | None = None
        self._paused = self._deaf = self._closing = False
        self._refused: Refused | None = None
        self._taken: asyncio.Protocol | None = None
        self._after_upgrade = b""
        self._answering = self._chunked = self._lingering = False
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
        self._deadline = self._clock.monotonic() + HEAD_SECONDS
        self._timer = self._clock.call_later(TICK_SECONDS, self._tick)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._register is not None:
            self._register(self, False)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._incoming is not None:
            self._incoming.fail()
        if self._taken is not None:
            self._taken.connection_lost(error)
        elif self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._taken is not None:
            self._taken.data_received(data)
            return
        if self._refused is not None:
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
            if self._fed > (LARGEST_HEAD if self._in_head else self._most_bytes):
                raise Refused(431, "the head or the chunks of the request are too large")
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade = data[upgrade.args[0] :]
            self._next()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else Refused(400, "bad request"))
        except httptools.HttpParserError as error:
            self._refuse(Refused(400, str(error)))
        except Refused as refused:
            self._refuse(refused)

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
        self._in_head = True
        self._body, self._head_size, self._body_size, self._fed = [], 0, 0, 0
        if self._task is None:
            self._deadline = self._clock.monotonic() + HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        self._request.target += url
        self._count_head(len(url), 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value), 431)
        if not self._in_head:
            return  # a field behind the body: nothing there may steer anything (RFC 9110, 6.5.1)
        headers = self._request.headers
        headers.append((name.lower(), value))
        if len(headers) > MOST_HEADERS:
            raise Refused(431, "too many headers")

    def _count_head(self, size: int, status: int) -> None:
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            raise Refused(status, "the head of the request is too large")

    def on_headers_complete(self) -> None:
        self._in_head = False
        request, parser = self._request, self._parser
        request.method = parser.get_method().decode()
        request.version = parser.get_http_version()
        request.upgrade = parser.should_upgrade()
        request.keep_alive = parser.should_keep_alive() and not request.upgrade
        if request.version not in ("1.1", "1.0"):
            raise Refused(505, "HTTP/1.1 is spoken here")
        length, coding, hosts, expects = _framing(request.headers)
        if coding is not None and (coding.strip().lower() != b"chunked" or request.version < "1.1"):
            raise Refused(400, "an unknown transfer coding")
        if hosts != 1 and request.version == "1.1":
            raise Refused(400, "not one Host header")
        if self._streams is not None and (length or coding is not None) and self._streams(request):
            self._stream(request, None if coding is not None else length, expects)
            return
        if length > self._largest_body:
            raise Refused(413, f"Request entity too large: limit is {self._largest_body}")
        if (length or coding is not None) and self._task is None:
            self._deadline = self._clock.monotonic() + BODY_SECONDS
            if expects:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _stream(self, request: Request, length: int | None, expects: bool) -> None:
        """Hand a request on before its body has come."""

        def listen(yes: bool) -> None:
            if yes and not self._deaf and not self.closed:
                self._deadline = self._clock.monotonic() + BODY_SECONDS
                self.transport.resume_reading()
            elif not yes:
                self._deadline = 0.0  # now it is we who are slow
                self.transport.pause_reading()

        def start() -> None:
            self._deadline = self._clock.monotonic() + BODY_SECONDS
            if expects and not self.closed:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        request.incoming = self._incoming = Incoming(length, listen, start)
        self._waiting.append(request)
        self._next()

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._fed = 0
            self._deadline = self._clock.monotonic() + BODY_SECONDS
            self._incoming.feed(body)
            return
        self._body_size += len(body)
        if self._body_size > self._largest_body:
            raise Refused(413, f"Request entity too large: limit is {self._largest_body}")
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            self._deadline = self._fed = 0
            incoming.finish()
            if self._lingering:
                self.transport.close()
            return
        if self._body:
            self._request.body = b"".join(self._body)
        self._deadline, self._fed = 0.0, 0
        self._waiting.append(self._request)
        if not self._request.upgrade:
            self._next()
        if self._waiting and not self._deaf:
            self._deaf = True  # one request waits: no more are read until its turn
            self.transport.pause_reading()

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
            if self._answering and self._taken is None and self._refused is None:
                self.transport.close()  # the handler gave up in the middle
        if self._taken is not None or self.transport.is_closing():
            return
        self._next()
        if self._deaf and not self._waiting and not self._closing:
            self._deaf = False
            self.transport.resume_reading()
        if self._refused is not None and self._task is None:
            self._refuse(self._refused)

    def _refuse(self, refused: Refused) -> None:
        """Answer what can't be read, behind the answers that are under way."""
        self._refused = refused
        if self._incoming is not None:
            self._incoming.fail()
        if self._task is not None:
            return
        if not self._closing:
            self._current = Request()
            self._current.keep_alive = False
            self._lingering = refused.status in TOO_MUCH and not self.closed
            self.respond(refused.status, *self._refusal(refused.status, str(refused)))
            if self._lingering:
                self._clock.call_later(LINGER_SECONDS, self.transport.close)
                return
        self.transport.close()

    # answering

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer. ``headers``: lines, each with its CRLF."""
        self._answering = False
        if self.closed:
            return
        request = self._current
        if request.incoming is not None and not request.incoming.ended:
            self._linger(request.incoming)
        keep = request.keep_alive and not self._closing
        head = b"%s%sContent-Length: %d\r\n%s" % (
            status_line(status),
            headers,
            len(body),
            b"\r\n" if keep else b"Connection: close\r\n\r\n",
        )
        self.transport.write(head if request.method == "HEAD" else head + body)
        if keep:
            self._deadline = self._clock.monotonic() + IDLE_SECONDS
        elif not self._lingering:
            self.transport.close()

    def _linger(self, incoming: Incoming) -> None:
        """What is left of a body is dropped, for a while, and the connection ends."""
        incoming.drop()
        self._closing = self._lingering = True
        self._clock.call_later(LINGER_SECONDS, self.transport.close)

    @property
    def method(self) -> str:
        """Of the request that is being answered."""
        return self._current.method

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
        if not self.closed:
            self.transport.write(b"%s%s\r\n" % (status_line(status), lines))

    def write(self, chunk: bytes) -> None:
        """A piece of an answer."""
        if not chunk or self.closed or self._current.method == "HEAD":
            return
        if self._chunked:
            self.transport.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
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
        if self.closed:
            return
        if self._chunked:
            self.transport.write(b"0\r\n\r\n")
        self._deadline = self._clock.monotonic() + IDLE_SECONDS
        if not self._current.keep_alive or self._closing:
            self.transport.close()

    def take_over(self, protocol: asyncio.Protocol) -> bytes:
        """Give the connection away, after an upgrade; what came behind the request is returned."""
        self._taken, self._answering, self._deadline = protocol, False, 0.0
        if self._deaf:
            self._deaf = False
            self.transport.resume_reading()
        return self._after_upgrade

    def close_soon(self) -> None:
        """Answer what is being answered, then close."""
        self._closing = True
        if self._task is None:
            self.transport.close()

    # time

    def _tick(self) -> None:
        if self._deadline and self._clock.monotonic() >= self._deadline:
            self.transport.abort()
        elif not self.closed:
            self._timer = self._clock.call_later(TICK_SECONDS, self._tick)


def _framing(headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes | None, int, bool]:
    """Content-Length, Transfer-Encoding, how many Hosts, whether to say 100. Raises Refused."""
    length, coding, hosts, expects = -1, None, 0, False
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if length >= 0 or not value.isdigit():
                raise Refused(400, "more than one length")
            length = int(value)
        elif name == b"transfer-encoding":
            if coding is not None:
                raise Refused(400, "more than one length")
            coding = value
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
    if length >= 0 and coding is not None:
        raise Refused(400, "more than one length")
    return max(length, 0), coding, hosts, expects
