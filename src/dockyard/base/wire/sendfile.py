"""Turns a part of an open file into the body of an answer, by sendfile(2) where no TLS is between.

The kernel copies from the page cache to the socket. What is not in the cache would make the event
loop wait for a disk: it is read in a thread first (preadv2(2), ``RWF_NOWAIT``, tells).
"""

from __future__ import annotations

import asyncio
import os

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.wire.http import HIGH_WATER, Connection

PIECE = 1024 * 1024
TLS_PIECE = 128 * 1024
STALL_SECONDS = 60.0
"""A client that takes nothing for so long is cut off."""


async def send_file(
    connection: Connection, clock: Clock, status: int, headers: bytes, file: int, start: int,
    size: int,
) -> None:  # fmt: skip
    """Answer with ``size`` bytes of ``file`` from ``start``; to HEAD, with the head alone."""
    connection.begin(status, headers, size)
    if connection.method != "HEAD" and size:
        plain = connection.transport.get_extra_info("sslcontext") is None
        watch = _Watch(connection, clock)
        try:
            await (_by_kernel if plain else _by_pieces)(
                connection, clock, watch, file, start, start + size
            )
        finally:
            watch.stop()
    connection.end()


class _Watch:
    """Cuts a client off that takes nothing. One timer an answer: one a wait would cost more."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.moved = False
        """Whether something went out since the last look."""
        self._connection, self._clock = connection, clock
        self._timer = clock.call_later(STALL_SECONDS, self._look)

    def _look(self) -> None:
        if not self.moved:
            self._connection.transport.abort()
            return
        self.moved = False
        self._timer = self._clock.call_later(STALL_SECONDS, self._look)

    def stop(self) -> None:
        self._timer.cancel()


async def _by_kernel(
    connection: Connection, clock: Clock, watch: _Watch, file: int, at: int, end: int
) -> None:
    transport = connection.transport
    transport.set_write_buffer_limits(high=0)  # the head has to go first
    await connection.drain()
    transport.set_write_buffer_limits(high=HIGH_WATER)
    # The event loop lets nobody wait for a descriptor that is a transport's: a second one is ours.
    socket = os.dup(transport.get_extra_info("socket").fileno())
    try:
        while at < end:
            size = min(PIECE, end - at)
            await _warm(clock, file, at, size)
            if connection.closed:
                raise ConnectionResetError("the client has gone")
            try:
                sent = os.sendfile(socket, file, at, size)
            except BlockingIOError:
                await _writable(socket)
                continue
            if not sent:
                raise ConnectionAbortedError("the file has become shorter")
            at += sent
            watch.moved = True
    finally:
        os.close(socket)


async def _by_pieces(
    connection: Connection, clock: Clock, watch: _Watch, file: int, at: int, end: int
) -> None:
    while at < end:
        size = min(TLS_PIECE, end - at)
        await _warm(clock, file, at, size)
        piece = os.pread(file, size, at)
        if not piece:
            raise ConnectionAbortedError("the file has become shorter")
        connection.write(piece)
        at += len(piece)
        await connection.drain()
        watch.moved = True


async def _warm(clock: Clock, file: int, at: int, size: int) -> None:
    """Return when that part of the file is in the page cache, or as good as."""
    probe = bytearray(1)
    try:
        for place in (at, at + size - 1):
            os.preadv(file, [probe], place, os.RWF_NOWAIT)
    except BlockingIOError:
        await in_thread(clock, os.pread, file, size, at)
    except OSError:  # a file system that does not know the flag
        return


async def _writable(socket: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(socket, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(socket)
