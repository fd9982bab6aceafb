"""HTTP/1.1 as RFC 9112 has it: one answer a request, in order, nothing that has two meanings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.wire.http import LINGER_SECONDS, Connection, Request
from helpers.wires import FakeTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """Remembers requests; answers ``ok`` at once, or what a test makes it answer."""

    def __init__(self, answer: Callable[[Request, Connection], Awaitable[None] | None]) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self.clock = TurnableClock()

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        self.requests.append(request)
        return self._answer(request, connection)

    def client(self, **options: int) -> FakeTransport:
        return FakeTransport(Connection(self, self.clock, **options))


def plain(request: Request, connection: Connection) -> None:
    connection.respond(200, b"", b"ok")


def run(test: Callable[[Server], Awaitable[None]], answer: object = plain) -> None:
    server = Server(answer)  # type: ignore[arg-type]

    async def main() -> None:
        await test(server)

    run_turnable(server.clock, main())


def test_a_request_is_parsed_and_answered() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\n"
                    b"Content-Length: 3\r\n\r\nabc")  # fmt: skip
        (request,) = server.requests
        assert (request.method, request.target, request.body) == ("POST", b"/a%20b?c=d", b"abc")
        assert request.all(b"x-two") == ["1", "2"]
        assert client.take() == OK
        assert not client.closing

    run(test)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_bytes_may_come_in_any_pieces(size: int) -> None:
    data = (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n" + GET
    )

    async def test(server: Server) -> None:
        client = server.client()
        for start in range(0, len(data), size):
            client.feed(data[start : start + size])
        assert [request.body for request in server.requests] == [b"abcde", b""]
        assert client.take() == OK * 2

    run(test)


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    gates: list[asyncio.Event] = []

    async def slowly(request: Request, connection: Connection) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        connection.respond(200, b"", request.target)

    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(3)))
        await server.clock.settle()
        assert len(server.requests) == 1
        assert not client.reading, "no more is read than can be answered"
        for number in range(3):
            gates[number].set()
            await server.clock.settle()
            assert client.take().endswith(b"\r\n\r\n/%d" % number)
        assert client.reading

    run(test, slowly)


def test_streamed_answers() -> None:
    async def stream(request: Request, connection: Connection) -> None:
        connection.begin(200, b"", None if request.target == b"/chunks" else 4)
        connection.write(b"ab")
        await connection.drain()
        connection.write(b"cd")
        connection.end()

    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.clock.settle()
        assert client.take() == (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
        )
        client.feed(b"GET /known HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.clock.settle()
        assert client.take() == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
        client.feed(b"HEAD /chunks HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.clock.settle()
        assert client.take() == b"HTTP/1.1 200 OK\r\n\r\n"
        client.feed(b"GET /chunks HTTP/1.0\r\n\r\n")
        await server.clock.settle()
        assert client.take() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcd"
        assert client.closing

    run(test, stream)


def test_a_writer_waits_for_its_reader() -> None:
    steps: list[str] = []

    async def stream(request: Request, connection: Connection) -> None:
        connection.begin(200, b"")
        await connection.drain()
        steps.append("drained")
        connection.end()

    async def test(server: Server) -> None:
        client = server.client()
        client.protocol.pause_writing()
        client.feed(GET)
        await server.clock.settle()
        assert steps == []
        client.protocol.resume_writing()
        await server.clock.settle()
        assert steps == ["drained"]

    run(test, stream)


def test_a_writer_ends_with_its_client() -> None:
    ended = asyncio.Event()

    async def stream(request: Request, connection: Connection) -> None:
        connection.begin(200, b"")
        try:
            await connection.drain()
        finally:
            ended.set()

    async def test(server: Server) -> None:
        client = server.client()
        client.protocol.pause_writing()
        client.feed(GET)
        await server.clock.settle()
        client.lost()
        await ended.wait()

    run(test, stream)


def test_head_has_no_body() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.take() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

    run(test)


def test_close_is_honoured() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in client.take()
        assert client.closing

    run(test)


def test_close_soon_finishes_the_answer() -> None:
    gate = asyncio.Event()

    async def slowly(request: Request, connection: Connection) -> None:
        await gate.wait()
        connection.respond(200, b"", b"ok")

    async def test(server: Server) -> None:
        client, idle = server.client(), server.client()
        client.feed(GET + GET)
        await server.clock.settle()
        for each in (client, idle):
            assert isinstance(each.protocol, Connection)
            each.protocol.close_soon()
        assert idle.closing
        assert not client.closing
        gate.set()
        await server.clock.settle()
        written = client.take()
        assert written.count(b"200 OK") == 1
        assert b"Connection: close" in written
        assert client.closing

    run(test, slowly)


def test_an_upgrade_gives_the_connection_away() -> None:
    class Taker(asyncio.Protocol):
        got = b""

        def data_received(self, data: bytes) -> None:
            self.got += data

    taker = Taker()

    async def upgrade(request: Request, connection: Connection) -> None:
        assert request.upgrade
        taker.got += connection.take_over(taker)

    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tea\r\n\r\nab")
        await server.clock.settle()
        client.feed(b"cd")
        assert taker.got == b"abcd"
        assert not client.closing
        assert client.reading
        await server.clock.advance(3600)
        assert not client.closing

    run(test, upgrade)


def test_an_upgrade_that_nobody_takes_ends_the_connection() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                    + GET)  # fmt: skip
        assert client.take().count(b"200 OK") == 1
        assert client.closing

    run(test)


def test_expect_is_answered() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
                    b"\r\n")  # fmt: skip
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.feed(b"ab")
        assert client.take() == OK

    run(test)


HOST = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"
SMUGGLED = {
    "length and coding": HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "twice the same length": HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": HOST + b"Content-Length: +3\r\n\r\nabc",
    "a length with an underscore": HOST + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "an empty length": HOST + b"Content-Length: \r\n\r\nabc",
    "a length of 23 digits": HOST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "chunked misspelt": HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked not alone": HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk longer than it says":
        HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
    "a chunk size after 0x": HOST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size and a bare LF": HOST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "a length behind the chunks":
        HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "a bare LF among fields": b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "a bare CR in a value": b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "a folded coding": HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a space before the first field": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a field without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\x00\r\n\r\n",
    "NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
@pytest.mark.parametrize("size", [1, 4096])
def test_c09_what_could_be_read_in_two_ways_is_refused(data: bytes, size: int) -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(GET)
        assert client.take() == OK
        hostile = data + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        for start in range(0, len(hostile), size):
            client.feed(hostile[start : start + size])
        written = client.take()
        assert written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert written.count(b"HTTP/1.1") == 1
        assert b"Connection: close" in written
        assert client.closing
        assert len(server.requests) == 1

    run(test)


def test_c09_fields_behind_the_body_steer_nothing() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                    b"Authorization: Bearer x\r\n\r\n")  # fmt: skip
        (request,) = server.requests
        assert request.all(b"authorization") == []

    run(test)


@pytest.mark.parametrize("line", [b"GET /", b"GET / HTTP/2.0", b"GET / HTTP/0.9"])
def test_other_versions_are_refused(line: bytes) -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(line + b"\r\nHost: x\r\n\r\n")
        assert client.take()[9:12] in (b"505", b"400")
        assert client.closing
        assert server.requests == []

    run(test)


TOO_MUCH = {
    "100,000 headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000, b"431"),
    "a header of 1 MiB": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (1 << 20), b"431"),
    "a header name of 1 MiB": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"b" * (1 << 20), b"431"),
    "a path of 1 MiB": (b"GET /" + b"a" * (1 << 20), b"414"),
    "a body of 4 MiB": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\n", b"413"),
    "chunks of 4 MiB": (
        CHUNKED + b"\r\n"
        + (b"10000\r\n" + b"a" * 0x10000 + b"\r\n") * 64,
        b"413",
    ),
    "trailers without end": (
        CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 50_000,
        b"431",
    ),
    "a trailer without end": (
        CHUNKED + b"\r\n0\r\nA: " + b"b" * (8 << 20),
        b"431",
    ),
    "an extension without end": (
        CHUNKED + b"\r\n1;a=" + b"b" * (8 << 20),
        b"431",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_c10_too_much_is_refused(data: bytes, status: bytes) -> None:
    async def test(server: Server) -> None:
        client = server.client()
        for start in range(0, len(data), 65536):
            client.feed(data[start : start + 65536])
        assert client.take()[9:12] == status
        assert not client.closing, "a close on unread bytes would take the answer with it"
        client.feed(b"and more" * 1000)
        await server.clock.advance(LINGER_SECONDS)
        assert client.take() == b""
        assert client.closing
        assert server.requests == []

    run(test)


def test_a_bad_request_does_not_cut_off_the_answer_before_it() -> None:
    gate = asyncio.Event()

    async def slowly(request: Request, connection: Connection) -> None:
        await gate.wait()
        connection.respond(200, b"", b"ok")

    async def test(server: Server) -> None:
        client = server.client()
        client.feed(GET + b"BREW / HTCPCP/1.0\r\n\r\n")
        gate.set()
        await server.clock.settle()
        written = client.take()
        assert written.startswith(OK)
        assert written[len(OK) :].startswith(b"HTTP/1.1 400")
        assert client.closing

    run(test, slowly)


def test_a_handler_that_gives_up_in_the_middle_is_heard_of() -> None:
    async def halfway(request: Request, connection: Connection) -> None:
        connection.begin(200, b"", 10)
        connection.write(b"half")

    async def test(server: Server) -> None:
        client = server.client()
        client.feed(GET)
        await server.clock.settle()
        assert client.closing

    run(test, halfway)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [(b"", 45), (b"GET / HTTP/1.1\r\nHost:", 45), (HOST + b"Content-Length: 10\r\n\r\nabc", 75)],
    ids=["silence", "half a head", "half a body"],
)
def test_c08_a_slow_client_is_cut_off(data: bytes, seconds: float) -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(data)
        await server.clock.advance(20)
        assert not client.closing
        await server.clock.advance(seconds - 20)
        assert client.aborted

    run(test)


def test_an_idle_connection_is_kept_for_minutes_and_a_slow_answer_for_ever() -> None:
    async def test(server: Server) -> None:
        client = server.client()
        client.feed(GET)
        await server.clock.advance(280)
        assert not client.closing
        await server.clock.advance(60)
        assert client.aborted

    run(test)

    async def never(request: Request, connection: Connection) -> None:
        await asyncio.Event().wait()

    async def slow(server: Server) -> None:
        client = server.client()
        client.feed(GET)
        await server.clock.advance(7200)
        assert not client.closing

    run(slow, never)
