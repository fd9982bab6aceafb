"""Turns streams of a client into connections to ports inside a sandbox.

Kubernetes' ``portforward.k8s.io`` (SPDY, alone or within a WebSocket): for each connection a stream
for what goes wrong and one for the bytes, with the same ``requestID``. And its older WebSocket form
``v4.channel.k8s.io``: two channels a port, each begun by us with the port's number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Conflict, DockyardError
from dockyard.base.linux.syscalls import CLONE_NEWNET, setns
from dockyard.base.wire import spdyframes
from dockyard.base.wire.spdy import Pipe, Session, Stream
from dockyard.base.wire.websocket import WebSocket
from dockyard.node.network.veth import namespace_of

PROTOCOL = "portforward.k8s.io"
TUNNELLED = "SPDY/3.1+portforward.k8s.io"
CHANNELS = "v4.channel.k8s.io"
PIECE = 64 * 1024
PLACES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
Connect = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Connects to a port. Raises DockyardError or OSError."""


def sockets_in(pid: int) -> list[socket.socket]:
    """Sockets of both families in a process's network namespace; only this thread goes there, and
    back. Raises :class:`Conflict` where the process has ended."""
    wanted = namespace_of(pid)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(wanted, CLONE_NEWNET)
        try:
            return own_sockets()
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
        os.close(wanted)


def own_sockets() -> list[socket.socket]:
    """As :func:`sockets_in`, where this thread is."""
    found = []
    for family, _ in PLACES:
        with contextlib.suppress(OSError):  # a kernel without IPv6
            found.append(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    return found


async def connect(
    sockets: list[socket.socket], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Whoever listens on ``localhost``, IPv4 first. Raises :class:`Conflict` with both reasons."""
    loop, places, why = asyncio.get_running_loop(), dict(PLACES), []
    try:
        for each in sockets:
            try:
                await loop.sock_connect(each, (places[each.family], port))
            except OSError as error:
                reason = os.strerror(error.errno).lower() if error.errno else str(error)
                why.append(f"{places[each.family]}: {reason}")
                continue
            sockets = [other for other in sockets if other is not each]
            return await asyncio.open_connection(sock=each)
    finally:
        for each in sockets:
            each.close()
    raise Conflict(f"failed to connect to localhost:{port} inside the pod: {', '.join(why)}")


class Forwarding:
    """One client that speaks ``portforward.k8s.io``."""

    def __init__(self, pipe: Pipe, connect: Connect, sandbox: str) -> None:
        self._session, self._connect, self._sandbox = Session(pipe), connect, sandbox
        self._tasks = Tasks()
        self._halves: dict[str, Stream] = {}

    async def run(self) -> None:
        """Until the client leaves."""
        async with self._tasks:
            await self._session.run(self._opened)
        await self._session.pipe.close()

    def _opened(self, stream: Stream) -> None:
        kind, port = stream.headers.get("streamtype"), stream.headers.get("port", "")
        fits = port.isdecimal() and len(port) < 6 and 0 < int(port) < 1 << 16
        if kind not in ("error", "data") or not fits:
            stream.reset(spdyframes.REFUSED_STREAM)
            return
        # a client of before 1.2 gives no number: its data stream is opened behind the other one
        number = stream.headers.get("requestid") or str(
            stream.number if kind == "error" else stream.number - 2
        )
        other = self._halves.pop(number, None)
        if other is None:
            self._halves[number] = stream
        elif other.headers["streamtype"] == kind:
            stream.reset(spdyframes.REFUSED_STREAM)
            self._halves[number] = other
        else:
            data, error = (stream, other) if kind == "data" else (other, stream)
            self._tasks.start(self._carry(int(port), data, error), name=f"forward {number[:20]}")

    async def _carry(self, port: int, data: Stream, error: Stream) -> None:
        try:
            reader, writer = await self._connect(port)
        except (DockyardError, OSError) as failed:
            error.write(f"error forwarding port {port} to pod {self._sandbox}: {failed}".encode())
            error.end()
            data.end()
            return
        up = asyncio.create_task(_up(data, writer))
        down = asyncio.create_task(_down(reader, data))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _ended(up, down)
            writer.transport.abort()
            error.end()
            data.end()


async def _up(data: Stream, writer: asyncio.StreamWriter) -> None:
    while (piece := await data.read()) is not None:
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def _down(reader: asyncio.StreamReader, data: Stream) -> None:
    while piece := await reader.read(PIECE):
        data.write(piece)
        await data.drain()
    data.end()


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Cancelled where they run; that a connection has ended is no failure of ours."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(
            result, OSError | asyncio.CancelledError
        ):
            raise result


class TunnelledPipe:
    """The bytes within a WebSocket's binary messages."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> bytes | None:
        message = await self._socket.receive()
        return None if message is None else message.data

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    async def drain(self) -> None:
        await self._socket.drain()

    async def close(self) -> None:
        await self._socket.close()


async def forward_channels(
    client: WebSocket, ports: tuple[int, ...], connect: Connect, sandbox: str
) -> None:
    """``v4.channel.k8s.io``: channel 2 i has the bytes of port i, 2 i + 1 what goes wrong."""
    for index, port in enumerate(ports):
        for channel in (2 * index, 2 * index + 1):
            client.send(bytes([channel]) + struct.pack("<H", port))
    writers: dict[int, asyncio.StreamWriter] = {}
    down = []
    for index, port in enumerate(ports):
        try:
            reader, writers[2 * index] = await connect(port)
        except (DockyardError, OSError) as failed:
            why = f"error forwarding port {port} to pod {sandbox}: {failed}"
            client.send(bytes([2 * index + 1]) + why.encode())
        else:
            down.append(asyncio.create_task(_down_channel(reader, client, 2 * index)))
    up = asyncio.create_task(_up_channels(client, writers))
    try:
        while down and not up.done():
            await asyncio.wait([up, *down], return_when=asyncio.FIRST_COMPLETED)
            await _ended(*(task for task in down if task.done()))
            down = [task for task in down if not task.done()]
    finally:
        await _ended(up, *down)
        for writer in writers.values():
            writer.transport.abort()
        await client.close()


async def _up_channels(client: WebSocket, writers: Mapping[int, asyncio.StreamWriter]) -> None:
    async for message in client:
        writer = writers.get(message.data[0]) if message.data else None
        if writer is not None:
            with contextlib.suppress(OSError):  # that one is over; others may go on
                writer.write(message.data[1:])
                await writer.drain()


async def _down_channel(reader: asyncio.StreamReader, client: WebSocket, channel: int) -> None:
    while piece := await reader.read(PIECE):
        client.send(bytes([channel]) + piece)
        await client.drain()
