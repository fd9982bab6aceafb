"""Turns a stream of the runtime, which blocks, into frames that a task waits for.

The event loop watches the stream's descriptor; a thread is used only for what is there already, so
a hundred commands that print nothing cost no thread. It watches through an epoll of the stream's
own: libuv makes what it polls non-blocking, and threads read and write the stream as it is.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator

from dockyard.interfaces.ociruntime import STDOUT, Frame, Stream
from dockyard.node.cri.threads import Threads


async def frames(stream: Stream, threads: Threads) -> AsyncIterator[Frame]:
    """The output, piece by piece, until it ends."""
    with select.epoll() as watched:
        watched.register(stream.fileno(), select.EPOLLIN)
        while True:
            await _readable(watched.fileno())
            frame = await threads.stream(stream.read)
            if frame is None:
                return
            yield frame


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def collect(stream: Stream, threads: Threads, most: int) -> tuple[bytes, bytes]:
    """(stdout, stderr), each cut at ``most`` bytes; what comes after is read and dropped."""
    out, err = bytearray(), bytearray()
    async for frame in frames(stream, threads):
        kept = out if frame.stream == STDOUT else err
        kept += frame.data[: most - len(kept)]
    return bytes(out), bytes(err)
