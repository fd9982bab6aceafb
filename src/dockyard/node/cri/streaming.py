"""Turns a URL that was handed out for an exec, attach or port-forward into its streams.

The CRI's streaming server: a kubelet (or whoever got the URL) connects once, within a minute, and
speaks Kubernetes' remote command protocol, over WebSocket (the first byte of a message is its
channel) or SPDY. It listens on the loopback only, and a URL cannot be guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from dockyard.base.aio.clock import Clock, Handle
from dockyard.base.errors import DockyardError
from dockyard.base.wire import spdy, websocket
from dockyard.base.wire.frames import Message
from dockyard.base.wire.http import Connection, Refused, Request
from dockyard.interfaces import cri
from dockyard.interfaces.ociruntime import STDERR, Stream
from dockyard.node.cri import portforward, spdychannels
from dockyard.node.cri.pump import frames
from dockyard.node.cri.threads import Threads

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, ERRORS, RESIZE, CLOSE = 0, 1, 3, 4, 255
"""Channels; 2 is standard error. ``CLOSE`` (version 5) is followed by the channel that ends."""
SECONDS_TO_COME = 60.0
SECONDS_TO_SAY_SIZE, MOST_EARLY = 0.5, 16
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
LARGEST_SIDE = 1 << 16


Begin = Callable[[tuple[int, int] | None], Stream]
"""Begins a command with a terminal of that size (rows, columns); blocks. Raises DockyardError."""


class Ticket(NamedTuple):
    """What a URL stands for."""

    serve: Callable[[Request, Connection], Awaitable[None]]
    """Answers the request. Raises Refused, with nothing written."""
    expires: Handle


class Channels(Protocol):
    """Messages whose first byte is their channel: a WebSocket, or what looks like one."""

    async def receive(self) -> Message | None: ...

    def __aiter__(self) -> AsyncIterator[Message]: ...

    def send(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    async def close(self) -> None: ...


class StreamingServer:
    """Streams by URL."""

    def __init__(self, threads: Threads, clock: Clock) -> None:
        self._threads, self._clock = threads, clock
        self._tickets: dict[str, Ticket] = {}
        self._server: asyncio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._handle, self._clock), "127.0.0.1", 0
        )
        self._port = self._server.sockets[0].getsockname()[1]

    def url(self, kind: str, begin: Begin, options: cri.StreamOptions) -> str:
        """A URL for one client of a command, good for a minute."""
        return self._ticket(kind, lambda *client: self._command(begin, options, *client))

    def forward_url(
        self, connect: portforward.Connect, ports: tuple[int, ...], sandbox: str
    ) -> str:
        """A URL for one client that connects to ports."""
        return self._ticket(
            "portforward", lambda *client: self._forward(connect, ports, sandbox, *client)
        )

    def _ticket(self, kind: str, serve: Callable[[Request, Connection], Awaitable[None]]) -> str:
        token = secrets.token_urlsafe(24)
        expires = self._clock.call_later(SECONDS_TO_COME, lambda: self._tickets.pop(token, None))
        self._tickets[token] = Ticket(serve, expires)
        return f"http://127.0.0.1:{self._port}/{kind}/{token}"

    def close(self) -> None:
        """Listen no more; streams that are open go on until their client leaves."""
        if self._server is not None:
            self._server.close()
        for ticket in self._tickets.values():
            ticket.expires.cancel()
        self._tickets.clear()

    def _handle(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        token = request.target.decode("latin-1").partition("?")[0].rpartition("/")[2]
        ticket = self._tickets.pop(token, None)
        if ticket is None:
            connection.respond(404, TEXT, b"streaming: no such request, or its time is over")
            return None
        ticket.expires.cancel()
        return self._serve(ticket, request, connection)

    async def _serve(self, ticket: Ticket, request: Request, connection: Connection) -> None:
        try:
            await ticket.serve(request, connection)
        except Refused as refused:
            connection.respond(refused.status, TEXT, str(refused).encode())

    async def _command(
        self, begin: Begin, options: cri.StreamOptions, request: Request, connection: Connection
    ) -> None:
        if not spdy.is_wanted(request):
            socket = websocket.accept(request, connection, self._clock, PROTOCOLS)
            try:
                await Session(socket, options, self._threads, self._clock).run(begin)
            finally:
                connection.transport.close()
            return
        pipe = spdy.accept(request, connection, spdychannels.PROTOCOLS)
        async with spdychannels.SpdyChannels(pipe, options, self._clock) as client:
            if await client.opened():
                await Session(client, options, self._threads, self._clock).run(begin)

    async def _forward(
        self, connect: portforward.Connect, ports: tuple[int, ...], sandbox: str,
        request: Request, connection: Connection,
    ) -> None:  # fmt: skip
        pipe: spdy.Pipe
        if spdy.is_wanted(request):
            pipe = spdy.accept(request, connection, (portforward.PROTOCOL,))
        else:
            protocols = (portforward.TUNNELLED, *((portforward.CHANNELS,) if ports else ()))
            socket = websocket.accept(request, connection, self._clock, protocols)
            if socket.protocol == portforward.CHANNELS:
                await portforward.forward_channels(socket, ports, connect, sandbox)
                return
            pipe = portforward.TunnelledPipe(socket)
        await portforward.Forwarding(pipe, connect, sandbox).run()


class Session:
    """One client and the streams of one command."""

    def __init__(
        self, socket: Channels, options: cri.StreamOptions, threads: Threads, clock: Clock
    ) -> None:
        self._socket, self._options = socket, options
        self._threads, self._clock = threads, clock
        self._early: list[Message] = []

    async def run(self, begin: Begin) -> None:
        """Until the command has ended, or the client leaves."""
        size = await self._first_size() if self._options.tty else None
        try:
            stream = await self._threads.stream(lambda: begin(size))
        except DockyardError as error:
            await self._end(failure(f"error executing command in container: {error}"))
            return
        loop = asyncio.get_running_loop()
        down = loop.create_task(self._carry_down(stream))
        up = loop.create_task(self._carry_up(stream))
        try:
            await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
            if down.done():
                down.result()
                code = stream.exit_code()
                await self._end(
                    failure("the container's monitor has ended") if code is None else ended(code)
                )
        except ConnectionError:
            return  # the client has gone; the command goes on without it
        finally:
            down.cancel()
            up.cancel()
            await asyncio.wait([down, up])
            stream.close()

    async def _first_size(self) -> tuple[int, int] | None:
        """A client with a terminal says at once how large it is: what begins knows it then. What
        it has typed before that is kept."""
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(SECONDS_TO_SAY_SIZE):
                while len(self._early) < MOST_EARLY:
                    message = await self._socket.receive()
                    if message is None:
                        break
                    if message.data[:1] == bytes([RESIZE]):
                        return terminal_size(message.data[1:])
                    self._early.append(message)
        return None

    async def _messages(self) -> AsyncIterator[Message]:
        for message in self._early:
            yield message
        async for message in self._socket:
            yield message

    async def _end(self, status: dict[str, Any]) -> None:
        self._socket.send(bytes([ERRORS]) + json.dumps(status).encode())
        await self._socket.close()

    async def _carry_down(self, stream: Stream) -> None:
        options = self._options
        async for frame in frames(stream, self._threads):
            if options.stderr if frame.stream == STDERR else options.stdout:
                self._socket.send(bytes([frame.stream]) + frame.data)
                await self._socket.drain()

    async def _carry_up(self, stream: Stream) -> None:
        """Until the client leaves: what it sends after the end of its input is dropped."""
        open_ = self._options.stdin
        async for message in self._messages():
            channel, data = (message.data[0], message.data[1:]) if message.data else (-1, b"")
            if channel == STDIN and open_ and data:
                await self._threads.stream(lambda piece=data: stream.write(piece))  # type: ignore[misc]
            elif channel == CLOSE and data[:1] == bytes([STDIN]) and open_:
                open_ = False
                await self._threads.stream(stream.close_stdin)
            elif channel == RESIZE and self._options.tty and (size := terminal_size(data)):
                await self._threads.stream(lambda s=size: stream.resize(*s))  # type: ignore[misc]
        if open_:
            await self._threads.stream(stream.close_stdin)


def terminal_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of ``{"Width": 80, "Height": 24}``; None for anything else."""
    try:
        found = json.loads(data)
        rows, columns = int(found["Height"]), int(found["Width"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    fits = 0 < rows < LARGEST_SIDE and 0 < columns < LARGEST_SIDE
    return (rows, columns) if fits else None


def ended(code: int) -> dict[str, Any]:
    """The Status that tells how a command ended."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    message = f"command terminated with non-zero exit code: exit status {code}"
    return {
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": message,
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }  # fmt: skip


def failure(why: str) -> dict[str, Any]:
    """The Status of what could not be done at all."""
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": why,
            "code": 500}  # fmt: skip
