"""Bodies that a handler reads as they come: back-pressure, 100 Continue, refusals, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.wire.http import BODY_SECONDS, LINGER_SECONDS, Connection, Request
from dockyard.base.wire.incoming import MOST
from helpers.wires import FakeTransport

HEAD = b"PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"PUT /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """Reads bodies when its gate is open, and answers with their length."""

    def __init__(self) -> None:
        self.clock = TurnableClock()
        self.gate = asyncio.Event()
        self.pieces: list[bytes] = []
        self.broken = False
        self.refuses = False

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        if request.incoming is None:
            connection.respond(200, b"", request.target)
            return None
        if self.refuses:
            connection.respond(403, b"", b"no")
            return None
        return self._read(request, connection)

    async def _read(self, request: Request, connection: Connection) -> None:
        assert request.incoming is not None
        await self.gate.wait()
        size = 0
        try:
            while piece := await request.incoming.read():
                self.pieces.append(piece)
                size += len(piece)
        except ConnectionResetError:
            self.broken = True
            return
        connection.respond(200, b"", b"%d" % size)

    def client(self) -> FakeTransport:
        return FakeTransport(
            Connection(self, self.clock, 100, streams=lambda request: request.method == "PUT")
        )


def run(test: Callable[[Server], Awaitable[None]]) -> None:
    clock: list[TurnableClock] = []

    async def main() -> None:
        server = Server()
        server.clock = clock[0]
        await test(server)

    clock.append(TurnableClock())
    run_turnable(clock[0], main())


@pytest.mark.parametrize("head", [HEAD % 5_000_000, CHUNKED], ids=["length", "chunks"])
def test_a_body_larger_than_the_limit_of_whole_ones(head: bytes) -> None:
    async def test(server: Server) -> None:
        client = server.client()
        server.gate.set()
        client.feed(head)
        for _ in range(50):
            piece = bytes(100_000)
            client.feed(b"%x\r\n%s\r\n" % (len(piece), piece) if head is CHUNKED else piece)
            await server.clock.settle()
        if head is CHUNKED:
            client.feed(b"0\r\n\r\n")
        await server.clock.settle()
        assert client.take().endswith(b"\r\n\r\n5000000")
        assert len(server.pieces) == 50, "each is handed on as it comes"
        client.feed(GET)
        assert client.take().endswith(b"/next")

    run(test)


def test_who_is_faster_than_the_handler_is_not_read_from() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(HEAD % (3 * MOST))
        client.feed(bytes(MOST + 1))
        await server.clock.settle()
        assert not client.reading
        await server.clock.advance(10 * BODY_SECONDS)
        assert not client.aborted, "it is the handler that is slow"
        server.gate.set()
        await server.clock.settle()
        assert client.reading
        client.feed(bytes(2 * MOST - 1))
        await server.clock.settle()
        assert client.take().endswith(b"%d" % (3 * MOST))

    run(test)


def test_c08_a_body_that_stalls_ends_the_connection() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        server.gate.set()
        client.feed(HEAD % 100 + b"abc")
        await server.clock.advance(BODY_SECONDS - 20)
        client.feed(b"d")
        await server.clock.advance(BODY_SECONDS - 20)
        assert not client.aborted, "it goes on, if slowly"
        await server.clock.advance(BODY_SECONDS)
        assert client.aborted

    run(test)


def test_a_client_that_leaves_breaks_the_body() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        server.gate.set()
        client.feed(HEAD % 100 + b"abc")
        await server.clock.settle()
        client.lost()
        await server.clock.settle()
        assert server.pieces == [b"abc"]

    run(test)


def test_continue_is_said_when_somebody_reads() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(
            b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        await server.clock.settle()
        assert client.take() == b""
        server.gate.set()
        await server.clock.settle()
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.feed(b"abc")
        await server.clock.settle()
        assert client.take().endswith(b"\r\n\r\n3")

    run(test)


def test_a_refusal_before_the_body_has_come() -> None:
    """It is answered at once; what still comes is dropped for a while, then the connection ends."""

    async def test(server: Server) -> None:
        server.refuses = True
        client = server.client()
        client.feed(HEAD % 1_000_000 + b"abc")
        answer = client.take()
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"Connection: close\r\n" in answer
        assert not client.closing, "closing on unread bytes would lose the answer"
        client.feed(bytes(500_000))
        await server.clock.advance(LINGER_SECONDS)
        assert client.closing

    run(test)


def test_c09_a_bad_chunk_is_400() -> None:
    async def test(server: Server) -> None:
        server.gate.set()
        client = server.client()
        client.feed(CHUNKED + b"3\r\nabc\r\nnonsense\r\n")
        await server.clock.settle()
        assert client.take().startswith(b"HTTP/1.1 400 ")
        assert client.closing
        assert server.broken

    run(test)
