"""Files as answers: parts of them, through the kernel and through TLS, and clients that stall."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import uvloop

from dockyard.base.aio.clock import RealClock, TurnableClock, run_turnable
from dockyard.base.wire.http import Connection, Request
from dockyard.base.wire.sendfile import STALL_SECONDS, send_file
from helpers.wires import FakeTransport

GET = b"GET /%d-%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Behind(FakeTransport):
    """As if TLS were between."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return object() if name == "sslcontext" else default


class Slow(Behind):
    """Takes one piece at a time."""

    def write(self, data: Any) -> None:
        super().write(data)
        self.protocol.pause_writing()


class Sender:
    """Answers ``/START-SIZE`` with that part of a file."""

    def __init__(self, clock: Any, file: int) -> None:
        self.clock, self.file = clock, file
        self.failed: BaseException | None = None

    async def __call__(self, request: Request, connection: Connection) -> None:
        start, _, size = request.target.decode()[1:].partition("-")
        try:
            await send_file(connection, self.clock, 200, b"", self.file, int(start), int(size))
        except (ConnectionError, OSError) as error:
            self.failed = error
            connection.transport.abort()


@pytest.fixture
def data(tmp_path: Path) -> Any:
    content = os.urandom(5_000_000)
    (tmp_path / "file").write_bytes(content)
    file = os.open(tmp_path / "file", os.O_RDONLY)
    yield content, file
    os.close(file)


@pytest.mark.parametrize("loop", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_parts_of_a_file_over_a_socket(data: tuple[bytes, int], loop: Any) -> None:
    """Several on one connection, each behind the other, to a reader that is slower."""
    content, file = data
    parts = [(0, 5_000_000), (17, 4_999_000), (4_999_999, 1), (3, 0), (1_000_000, 2_000_000)]

    async def main() -> None:
        clock = RealClock()
        running = asyncio.get_running_loop()
        server = await running.create_server(
            lambda: Connection(Sender(clock, file), clock), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        raw: socket.socket = writer.get_extra_info("socket")
        assert raw is not None
        for start, size in parts:
            writer.write(GET % (start, size))
        for start, size in parts:
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: %d\r\n" % size in head
            assert await reader.readexactly(size) == content[start : start + size]
        writer.close()
        server.close()

    loop(main())


def test_through_tls_it_goes_in_pieces(data: tuple[bytes, int]) -> None:
    content, file = data
    clock = TurnableClock()

    async def main() -> None:
        client = Behind(Connection(Sender(clock, file), clock))
        client.feed(GET % (5, 1_000_000))
        await clock.settle()
        assert client.take().partition(b"\r\n\r\n")[2] == content[5:1_000_005]

    run_turnable(clock, main())


def test_c08_a_client_that_takes_nothing_is_cut_off(data: tuple[bytes, int]) -> None:
    _, file = data
    clock = TurnableClock()

    async def main() -> None:
        connection = Connection(Sender(clock, file), clock)
        client = Slow(connection)
        client.feed(GET % (0, 5_000_000))
        await clock.advance(STALL_SECONDS / 2)
        assert not client.aborted
        connection.resume_writing()
        await clock.advance(STALL_SECONDS)
        assert not client.aborted, "a piece went out meanwhile"
        await clock.advance(STALL_SECONDS)
        assert client.aborted
        client.lost()
        await clock.settle()

    run_turnable(clock, main())


def test_a_file_that_has_become_shorter_ends_the_connection(tmp_path: Path) -> None:
    clock = TurnableClock()
    (tmp_path / "file").write_bytes(b"short")
    file = os.open(tmp_path / "file", os.O_RDONLY)

    async def main() -> None:
        sender = Sender(clock, file)
        client = Behind(Connection(sender, clock))
        client.feed(GET % (0, 100))
        await clock.settle()
        assert client.aborted
        assert isinstance(sender.failed, ConnectionAbortedError)

    run_turnable(clock, main())
    os.close(file)
