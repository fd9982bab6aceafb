"""WebSocket as RFC 6455 has it: its own examples, its refusals, and both ends of ours together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.aio.clock import RealClock, TurnableClock, run_turnable
from dockyard.base.errors import Denied, Unavailable
from dockyard.base.wire import frames, websocket
from dockyard.base.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, Broken, Decoder, Message
from dockyard.base.wire.http import Connection, Refused, Request
from dockyard.base.wire.websocket import WebSocket
from helpers.wires import FakeTransport

# Section 5.7.
HELLO = bytes.fromhex("810548656c6c6f")
MASKED_HELLO = bytes.fromhex("818537fa213d7f9f4d5158")
FRAGMENTED_HELLO = bytes.fromhex("010348656c80026c6f")
PING_HELLO = bytes.fromhex("890548656c6c6f")
MASKED_PONG = bytes.fromhex("8a8537fa213d7f9f4d5158")


def decode(data: bytes, *, masked: bool = False, largest: int = 1 << 20) -> list[Message]:
    return Decoder(masked=masked, largest=largest).feed(data)


@pytest.mark.parametrize(
    ("data", "masked", "message"),
    [
        (HELLO, False, Message(TEXT, b"Hello")),
        (MASKED_HELLO, True, Message(TEXT, b"Hello")),
        (FRAGMENTED_HELLO, False, Message(TEXT, b"Hello")),
        (PING_HELLO, False, Message(PING, b"Hello")),
        (MASKED_PONG, True, Message(PONG, b"Hello")),
        (bytes.fromhex("827e0100") + b"a" * 256, False, Message(BINARY, b"a" * 256)),
        (bytes.fromhex("827f0000000000010000") + b"a" * 65536, False,
         Message(BINARY, b"a" * 65536)),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(data: bytes, masked: bool, message: Message) -> None:
    assert decode(data, masked=masked) == [message]


def test_our_frames_are_those_of_the_rfc() -> None:
    assert frames.encode(TEXT, b"Hello") == HELLO
    assert frames.encode(TEXT, b"Hello", bytes.fromhex("37fa213d")) == MASKED_HELLO
    assert frames.encode(BINARY, b"a" * 256)[:4] == bytes.fromhex("827e0100")
    assert frames.encode(BINARY, b"a" * 65536)[:10] == bytes.fromhex("827f0000000000010000")


def test_a_control_frame_may_come_inside_a_message() -> None:
    data = FRAGMENTED_HELLO[:5] + PING_HELLO + FRAGMENTED_HELLO[5:]
    assert decode(data) == [Message(PING, b"Hello"), Message(TEXT, b"Hello")]


@given(st.lists(st.binary(max_size=70_000), max_size=4), st.integers(1, 9000))
def test_what_is_encoded_is_decoded(payloads: list[bytes], size: int) -> None:
    data = b"".join(frames.encode(BINARY, payload, b"\1\2\3\4") for payload in payloads)
    decoder = Decoder(masked=True, largest=1 << 20)
    found: list[Message] = []
    for start in range(0, len(data), size):
        found += decoder.feed(data[start : start + size])
    assert found == [Message(BINARY, payload) for payload in payloads]


@pytest.mark.parametrize(
    ("data", "masked", "code"),
    [
        (MASKED_HELLO, False, 1002),
        (HELLO, True, 1002),
        (bytes.fromhex("c10568"), False, 1002),
        (bytes.fromhex("8300"), False, 1002),
        (bytes.fromhex("8b00"), False, 1002),
        (bytes.fromhex("0900"), False, 1002),
        (bytes.fromhex("897e0100"), False, 1002),
        (bytes.fromhex("8000"), False, 1002),
        (bytes.fromhex("01004100"), False, 1002),
        (bytes.fromhex("827e0005"), False, 1002),
        (bytes.fromhex("827f0000000000000005"), False, 1002),
        (bytes.fromhex("827fffffffffffffffff"), False, 1009),
        (bytes.fromhex("8102c328"), False, 1007),
    ],
    ids=[
        "masked by a server", "not masked by a client", "a reserved bit", "a reserved opcode",
        "a reserved control opcode", "a fragmented ping", "a long ping", "goes on before it begins",
        "begins twice", "a long form for 5", "the longest form for 5", "a huge length",
        "not UTF-8",
    ],
)  # fmt: skip
def test_what_breaks_the_protocol(data: bytes, masked: bool, code: int) -> None:
    with pytest.raises(Broken) as broken:
        decode(data, masked=masked)
    assert broken.value.code == code


def test_a19_fragments_of_nothing_are_not_kept() -> None:
    decoder = Decoder(masked=False, largest=1000)
    assert decoder.feed(b"\x01\x00" + b"\x00\x00" * 1000) == []
    assert decoder._parts == []
    assert decoder.feed(b"\x80\x01a") == [Message(TEXT, b"a")]


def test_the_size_of_a_fragmented_message_is_that_of_all_its_parts() -> None:
    part = bytes.fromhex("027e0100") + b"a" * 256
    more = bytes.fromhex("007e0100") + b"a" * 256
    decoder = Decoder(masked=False, largest=1000)
    assert decoder.feed(part + more + more) == []
    with pytest.raises(Broken, match="larger than 1000"):
        decoder.feed(more)


def test_the_key_of_the_rfc() -> None:
    assert websocket.answer_to("dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: v4.channel.k8s.io, v5.channel.k8s.io\r\n"
)


def serve(
    data: bytes, use: Callable[[WebSocket], Awaitable[None]] | None = None
) -> tuple[bytes, list[Refused]]:
    """What the server answers to a handshake (and what came with it)."""
    clock, refused = TurnableClock(), []

    async def handle(request: Request, connection: Connection) -> None:
        try:
            socket = websocket.accept(request, connection, clock,
                                      ("v5.channel.k8s.io", "v4.channel.k8s.io"))  # fmt: skip
        except Refused as error:
            refused.append(error)
            connection.respond(error.status, b"", b"")
            return
        if use is not None:
            await use(socket)

    async def main() -> bytes:
        client = FakeTransport(Connection(handle, clock))
        client.feed(data)
        await clock.advance(10)
        return client.take()

    return run_turnable(clock, main()), refused


def test_the_handshake_and_what_came_with_it() -> None:
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            socket.send(message.data, message.opcode)

    close = frames.encode(CLOSE, b"\x03\xe8", b"\0\0\0\0")
    answer, _ = serve(HANDSHAKE + b"\r\n" + MASKED_HELLO + close, echo)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Sec-WebSocket-Protocol: v5.channel.k8s.io",
    ]
    assert rest == frames.encode(CLOSE, b"\x03\xe8"), "after the close nothing is sent"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ=", 400),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"???", 400),
        (b"Upgrade: websocket", b"Upgrade: h2c", 400),
        (b"v4.channel.k8s.io, v5.channel.k8s.io", b"chat", 400),
        (b"GET ", b"POST ", 400),
    ],
)
def test_other_handshakes_are_refused(old: bytes, new: bytes, status: int) -> None:
    answer, refused = serve(HANDSHAKE.replace(old, new) + b"Content-Length: 0\r\n\r\n")
    assert [error.status for error in refused] == [status]
    assert b"101" not in answer


# both ends


def together(
    server: Callable[[WebSocket], Awaitable[None]],
    client: Callable[[WebSocket], Awaitable[None]],
    **options: int,
) -> None:
    clock = RealClock()

    async def handle(request: Request, connection: Connection) -> None:
        await server(websocket.accept(request, connection, clock, ("tea",), **options))

    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(handle, clock), "127.0.0.1", 0
        )
        port = listener.sockets[0].getsockname()[1]
        async with clock.timeout(10):
            socket = await websocket.connect(
                "127.0.0.1", port, "/", clock, protocols=("coffee", "tea")
            )
            assert socket.protocol == "tea"
            await client(socket)
        listener.close()

    asyncio.run(main())


async def echo(socket: WebSocket) -> None:
    async for message in socket:
        socket.send(message.data, message.opcode)
        await socket.drain()


def test_messages_of_every_size_come_back() -> None:
    async def client(socket: WebSocket) -> None:
        for size in (0, 1, 125, 126, 65535, 65536, 1_000_000):
            socket.send(b"x" * size)
            assert await socket.receive() == Message(BINARY, b"x" * size)
        await socket.close()
        assert socket.closed_with == 1000
        assert await socket.receive() is None

    together(echo, client)


def test_a19_pings_of_who_never_reads_are_answered_once() -> None:
    async def body() -> None:
        transport = FakeTransport(asyncio.Protocol())
        socket = WebSocket(transport, RealClock(), client=True)
        sent: list[bytes] = []
        socket.send = lambda data, opcode=BINARY: sent.append(data)  # type: ignore[method-assign,misc]
        socket.pause_writing()
        for number in range(100):
            socket.data_received(frames.encode(PING, b"%d" % number))
        assert sent == []
        socket.resume_writing()
        assert sent == [b"99"]

    asyncio.run(body())


def test_a_ping_is_answered_without_anybody_asking() -> None:
    pongs: list[bytes] = []

    async def client(socket: WebSocket) -> None:
        take = socket._took
        socket._took = lambda m: pongs.append(m.data) if m.opcode == PONG else take(m)  # type: ignore[method-assign]
        socket.send(b"here?", PING)
        socket.send(b"text")
        await socket.receive()
        await socket.close()

    together(echo, client)
    assert pongs == [b"here?"]


def test_a_message_that_is_too_big_ends_the_connection() -> None:
    async def client(socket: WebSocket) -> None:
        socket.send(b"x" * 2000)
        assert await socket.receive() is None
        assert socket.closed_with == 1009

    together(echo, client, largest=1000)


def test_a_reader_that_does_not_come_stops_the_writer() -> None:
    async def deaf(socket: WebSocket) -> None:
        await asyncio.Event().wait()

    async def client(socket: WebSocket) -> None:
        with pytest.raises(TimeoutError):
            async with RealClock().timeout(0.5):
                for _ in range(1000):
                    socket.send(b"x" * 100_000)
                    await socket.drain()

    together(deaf, client)


def test_a_peer_that_leaves_is_noticed() -> None:
    left = asyncio.Event()

    async def server(socket: WebSocket) -> None:
        assert await socket.receive() is None
        assert socket.closed_with == 1006
        with pytest.raises(ConnectionResetError):
            await socket.drain()
        left.set()

    async def client(socket: WebSocket) -> None:
        socket._transport.abort()
        await left.wait()

    together(server, client)


def test_a_server_that_does_not_speak_it() -> None:
    clock = RealClock()

    def refuse(request: Request, connection: Connection) -> None:
        connection.respond(403, b"", b"")

    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(refuse, clock), "127.0.0.1", 0
        )
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Denied, match="403 Forbidden"):
            await websocket.connect("127.0.0.1", port, "/", clock)
        listener.close()
        await listener.wait_closed()
        with pytest.raises(Unavailable):
            await websocket.connect("127.0.0.1", port, "/", clock)

    asyncio.run(main())
