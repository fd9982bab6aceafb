"""Turns SPDY streams of a client into the numbered channels of Kubernetes' remote commands.

An older client opens a stream for each of stdin, stdout, stderr, what goes wrong and a terminal's
size; a WebSocket has them as the first byte of its messages. Here one looks like the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Channel, Closed
from dockyard.base.aio.tasks import Tasks
from dockyard.base.wire import spdyframes
from dockyard.base.wire.frames import BINARY, Message
from dockyard.base.wire.spdy import CLOSE_SECONDS, Pipe, Session, Stream
from dockyard.interfaces.cri import StreamOptions

PROTOCOLS = ("v4.channel.k8s.io",)
NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2, "error": 3, "resize": 4}
INPUTS = (0, 4)
CLOSE = b"\xff"
SECONDS_TO_OPEN = 30.0
MOST_QUEUED = 16


def expected(options: StreamOptions) -> frozenset[int]:
    """The channels that a client opens for these options; a terminal has no stderr."""
    wanted = {"error": True, "stdin": options.stdin, "stdout": options.stdout,
              "stderr": options.stderr and not options.tty, "resize": options.tty}  # fmt: skip
    return frozenset(NUMBERS[name] for name, yes in wanted.items() if yes)


class SpdyChannels:
    """What :class:`dockyard.node.cri.streaming.Session` asks of a WebSocket."""

    def __init__(self, pipe: Pipe, options: StreamOptions, clock: Clock) -> None:
        self._session, self._clock = Session(pipe), clock
        self._wanted = expected(options)
        self._streams: dict[int, Stream] = {}
        self._messages: Channel[Message] = Channel()
        self._taken = asyncio.Event()
        self._complete = asyncio.Event()
        self._tasks = Tasks()
        self._reading = self._tasks.start(self._read(), name="spdy")

    async def __aenter__(self) -> SpdyChannels:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._tasks.close()
        await self._session.pipe.close()

    async def opened(self) -> bool:
        """Whether the client has opened all that it is to open, within its time."""
        try:
            async with self._clock.timeout(SECONDS_TO_OPEN):
                await self._complete.wait()
        except TimeoutError:
            pass
        return self._wanted <= self._streams.keys()

    async def _read(self) -> None:
        try:
            await self._session.run(self._took)
        finally:
            self._complete.set()
            self._messages.close()

    def _took(self, stream: Stream) -> None:
        number = NUMBERS.get(stream.headers.get("streamtype", ""), -1)
        if number not in self._wanted or number in self._streams:
            stream.reset(spdyframes.REFUSED_STREAM)
            return
        self._streams[number] = stream
        if number in INPUTS:
            self._tasks.start(self._carry(number, stream), name=f"spdy channel {number}")
        if self._wanted <= self._streams.keys():
            self._complete.set()

    async def _carry(self, number: int, stream: Stream) -> None:
        try:
            while (piece := await stream.read()) is not None:
                await self._put(bytes([number]) + piece)
        except ConnectionResetError:
            return
        await self._put(CLOSE + bytes([number]))

    async def _put(self, data: bytes) -> None:
        while len(self._messages) >= MOST_QUEUED:
            self._taken.clear()
            await self._taken.wait()
        if not self._messages.closed:
            self._messages.put(Message(BINARY, data))

    async def receive(self) -> Message | None:
        """The next message; None after the client has left."""
        try:
            message = await self._messages.get()
        except Closed:
            return None
        self._taken.set()
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.receive()) is not None:
            yield message

    def send(self, data: bytes) -> None:
        """A message whose first byte is its channel."""
        if (stream := self._streams.get(data[0])) is not None:
            stream.write(data[1:])

    async def drain(self) -> None:
        await self._session.pipe.drain()

    async def close(self) -> None:
        """Every stream ends; the client closes the connection when it has read them."""
        for stream in self._streams.values():
            stream.end()
        self._session.leave()
        try:
            async with self._clock.timeout(CLOSE_SECONDS):
                await asyncio.wait([self._reading])
        except TimeoutError:
            pass
