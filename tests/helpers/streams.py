"""The CRI's streaming server, and a command of a container that the test plays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from dockyard.base.aio.clock import RealClock
from dockyard.base.wire import websocket
from dockyard.interfaces.ociruntime import STDERR, STDOUT, Frame
from dockyard.node.cri.streaming import StreamingServer
from dockyard.node.cri.threads import Threads

V5 = "v5.channel.k8s.io"


class Played:
    """A command whose output the test writes into ``out``, as ``1hello`` or ``2oops``."""

    def __init__(self, code: int | None = 0) -> None:
        self.ours, self.out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.code, self.written = code, b""
        self.sizes: list[tuple[int, int]] = []
        self.input_ended = asyncio.Event()
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def fileno(self) -> int:
        return self.ours.fileno()

    def read(self) -> Frame | None:
        data = self.ours.recv(65536)
        return Frame(STDOUT if data[:1] == b"1" else STDERR, data[1:]) if data else None

    def write(self, data: bytes) -> None:
        self.written += data

    def close_stdin(self) -> None:
        self._loop.call_soon_threadsafe(self.input_ended.set)

    def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def signal(self, number: int) -> None:
        raise AssertionError("nobody signals")

    def exit_code(self) -> int | None:
        return self.code

    def close(self) -> None:
        self.closed.set()
        self.ours.close()


def served(body: Callable[[StreamingServer], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = RealClock()
        threads = Threads(clock)
        server = StreamingServer(threads, clock)
        await server.start()
        try:
            async with clock.timeout(20):
                await body(server)
        finally:
            server.close()
            threads.close()

    asyncio.run(main())


async def dial(url: str, *protocols: str) -> websocket.WebSocket:
    where = url.removeprefix("http://")
    host, _, path = where.partition("/")
    name, _, port = host.partition(":")
    return await websocket.connect(
        name, int(port), f"/{path}", RealClock(), protocols=protocols or (V5,)
    )
