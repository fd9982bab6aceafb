"""Turns an upgraded HTTP connection and another one into a tunnel, until one of them ends."""

from __future__ import annotations

import asyncio
import contextlib

from dockyard.base.wire.http import Connection, status_line

LARGEST_HEAD = 64 * 1024
PIECE = 64 * 1024
HIGH_WATER = 1024 * 1024


async def read_head(reader: asyncio.StreamReader) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers of an answer. Raises ``ConnectionError`` for what is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError(f"no HTTP answer: {error}") from error
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise ConnectionError(f"no HTTP answer: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), [(name.strip().lower(), value.strip()) for name, _, value in pairs]


class Tunnel(asyncio.Protocol):
    """One tunnel. The client's side is a connection that this takes over."""

    def __init__(
        self, client: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._client, self._reader, self._writer = client, reader, writer
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._gone = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    async def run(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Answer the client's upgrade, then carry bytes until one side ends."""
        lines = [f"{name}: {value}" for name, value in headers]
        transport = self._client.transport
        early = self._client.take_over(self)
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        transport.write(status_line(status) + head)
        if early:
            self._writer.write(early)
        down = asyncio.create_task(self._carry_down())
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait([down, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (down, gone, self._draining):
                if task is not None:
                    task.cancel()
            transport.close()

    async def _carry_down(self) -> None:
        with contextlib.suppress(ConnectionError):  # its end, whichever way, ends the tunnel
            while data := await self._reader.read(PIECE):
                await self._resumed.wait()
                self._client.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._writer.write(data)
        backlog = self._writer.transport.get_write_buffer_size()
        if backlog > HIGH_WATER and (self._draining is None or self._draining.done()):
            self._client.transport.pause_reading()
            self._draining = asyncio.get_running_loop().create_task(self._let_drain())

    async def _let_drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError:
            self._gone.set()
        else:
            self._client.transport.resume_reading()

    def pause_writing(self) -> None:
        self._resumed.clear()

    def resume_writing(self) -> None:
        self._resumed.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._resumed.set()
        self._gone.set()
