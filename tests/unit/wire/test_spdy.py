"""SPDY/3.1: the draft's frames, what hostile clients send, and streams that hold a client back."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Coroutine
from typing import Any

import pytest

from dockyard.base.aio.queues import Channel, Closed
from dockyard.base.wire import spdyframes as frames
from dockyard.base.wire.spdy import BACKLOG, MOST_STREAMS, Session, Stream

ERROR, DATA = {"streamtype": "error", "port": "80"}, {"streamtype": "data", "port": "80"}


def test_the_dictionary_is_the_drafts() -> None:
    """draft-mbelshe-httpbis-spdy-00, 2.6.10.1: a header block begins with its Adler-32."""
    assert len(frames.dictionary()) == 1423
    assert frames.Encoder().reply(1)[12:18] == bytes.fromhex("78bbe3c6a7c2")


def test_frames_as_the_draft_draws_them() -> None:
    assert frames.data(1, b"abc", fin=True) == b"\0\0\0\1\1\0\0\3abc"
    assert frames.reset(5, frames.CANCEL) == b"\x80\3\0\3\0\0\0\x08\0\0\0\5\0\0\0\5"
    assert frames.ping(1) == b"\x80\3\0\6\0\0\0\4\0\0\0\1"
    assert frames.away(7) == b"\x80\3\0\7\0\0\0\x08\0\0\0\7\0\0\0\0"
    assert frames.Encoder().open(3, {}, fin=True)[:18] == (
        b"\x80\3\0\1\1\0\0" + frames.Encoder().open(3, {})[7:8] + b"\0\0\0\3\0\0\0\0\0\0"
    )


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_any_pieces_are_the_same_frames(size: int) -> None:
    encoder, decoder = frames.Encoder(), frames.Decoder()
    sent = encoder.open(1, ERROR, fin=True) + encoder.open(3, DATA) + frames.ping(9)
    sent += frames.data(3, b"x" * 300) + frames.data(3, b"", fin=True) + frames.reset(3, 5)
    found = [f for i in range(0, len(sent), size) for f in decoder.feed(sent[i : i + size])]
    assert found[0] == frames.Frame(frames.OPEN, 1, True, ERROR)
    assert found[1] == frames.Frame(frames.OPEN, 3, False, DATA)
    assert found[2][:2] == (frames.PING, 9)
    assert b"".join(f.data for f in found if f.kind == 0) == b"x" * 300
    assert [f.fin for f in found if f.kind == 0][-1] is True
    assert found[-1][:2] == (frames.RESET, 3)


def _block(plain: bytes) -> bytes:
    deflate = zlib.compressobj(zdict=frames.dictionary())
    block = deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    payload = struct.pack("!IIH", 1, 0, 0) + block
    return struct.pack("!HHI", 0x8003, 1, len(payload)) + payload


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 8, "version"),
        (b"\x80\2\0\6\0\0\0\4\0\0\0\1", "version 2"),
        (b"\0\0\0\0\0\0\0\1x", "stream 0"),
        (b"\x80\3\0\1\0\xff\xff\xff", "16777215 bytes"),
        (b"\x80\3\0\6\0\0\0\0", "of 0 bytes"),
        (b"\x80\3\0\1\0\0\0\x0e\0\0\0\1" + b"\0" * 10, "headers"),
        (_block(struct.pack("!II", 1, 1 << 24) + b"\0" * (1 << 24)), "65536 bytes"),
        (_block(struct.pack("!I", 1 << 31)), "2147483648 headers"),
        (_block(struct.pack("!II", 1, 0xFFFFFFFF)), "cut off"),
        (_block(struct.pack("!II", 1, 1) + b"a"), "cut off"),
    ],
)
def test_what_is_no_spdy_ends_at_once(sent: bytes, why: str) -> None:
    if sent.startswith(b"GET"):  # a data frame by its first bit: it waits, and keeps nothing
        assert all(frame.kind == 0 for frame in frames.Decoder().feed(sent))
        return
    with pytest.raises(frames.Broken, match=why):
        list(frames.Decoder().feed(sent))


class Played:
    """A client's connection: what it sends, and what came back."""

    def __init__(self) -> None:
        self.sent: Channel[bytes] = Channel()
        self.encoder, self.decoder = frames.Encoder(), frames.Decoder()
        self.came: list[frames.Frame] = []

    async def receive(self) -> bytes | None:
        try:
            return await self.sent.get()
        except Closed:
            return None

    def send(self, data: bytes) -> None:
        self.came += self.decoder.feed(data)

    async def drain(self) -> None: ...

    async def close(self) -> None: ...

    def kinds(self, kind: int) -> list[int]:
        return [frame.stream for frame in self.came if frame.kind == kind]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def settle() -> None:
    """Until every task waits for somebody else: nothing here takes more turns."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_a19_who_never_reads_is_not_asked_for_more() -> None:
    class Stuck(Played):
        async def drain(self) -> None:
            await asyncio.Event().wait()

    async def body() -> None:
        client = Stuck()
        for number in range(1, 99, 2):
            client.sent.put(frames.ping(number))
        running = asyncio.create_task(Session(client).run(lambda stream: None))
        await settle()
        assert client.kinds(frames.PING) == [1]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(body())


def test_a_stream_both_ways() -> None:
    async def body() -> None:
        client, opened = Played(), list[Stream]()
        client.sent.put(client.encoder.open(1, DATA) + frames.data(1, b"up") + frames.ping(5))
        client.sent.put(frames.data(1, b"", fin=True))
        client.sent.close()
        await Session(client).run(opened.append)
        (stream,) = opened
        assert stream.headers == DATA
        assert await stream.read() == b"up"
        assert await stream.read() is None
        stream.write(b"too late: the connection has ended")
        assert client.kinds(frames.REPLY) == [1]
        assert client.kinds(frames.PING) == [5]
        assert client.kinds(0) == []

    run(body())


def test_what_ends_both_ways_is_forgotten() -> None:
    async def body() -> None:
        client, opened = Played(), list[Stream]()
        session = Session(client)
        for number in range(1, 7, 2):
            client.sent.put(client.encoder.open(number, DATA))
        client.sent.put(frames.data(1, b"", fin=True) + frames.reset(5, frames.CANCEL))

        def take(stream: Stream) -> None:
            opened.append(stream)
            stream.end()
            stream.end()

        client.sent.close()
        await session.run(take)
        assert session.streams == {}
        assert client.kinds(0) == [1, 3, 5]
        assert await opened[0].read() is None
        for other in opened[1:]:  # one was reset, the other's client has gone
            with pytest.raises(ConnectionResetError):
                await other.read()

    run(body())


def test_numbers_that_break_the_rules_and_too_many_are_refused() -> None:
    async def body() -> None:
        client, opened = Played(), list[Stream]()
        for number in (2, 3, 3, 1):
            client.sent.put(client.encoder.open(number, DATA))
        for number in range(5, 5 + 2 * MOST_STREAMS, 2):
            client.sent.put(client.encoder.open(number, DATA))
        client.sent.close()
        await Session(client).run(opened.append)
        assert client.kinds(frames.RESET) == [2, 3, 1, 3 + 2 * MOST_STREAMS]
        assert len(opened) == MOST_STREAMS

    run(body())


def test_a_client_that_breaks_the_protocol_hears_so() -> None:
    async def body() -> None:
        client = Played()
        client.sent.put(client.encoder.open(1, DATA) + b"\x80\2\0\6\0\0\0\4\0\0\0\1")
        opened: list[Stream] = []
        await Session(client).run(opened.append)
        assert client.came[-1][:2] == (frames.AWAY, 1)
        with pytest.raises(ConnectionResetError):
            await opened[0].read()

    run(body())


def test_a_reader_that_does_not_come_stops_the_client() -> None:
    async def body() -> None:
        client, opened = Played(), list[Stream]()
        client.sent.put(client.encoder.open(1, DATA))
        piece = frames.data(1, bytes(BACKLOG // 2 + 1))
        for _ in range(8):
            client.sent.put(piece)
        reading = asyncio.create_task(Session(client).run(opened.append))
        await settle()
        assert len(client.sent) == 6
        await opened[0].read()
        await opened[0].read()
        await settle()
        assert len(client.sent) == 4
        opened[0].reset()  # nobody will read the rest: the connection goes on without
        await settle()
        assert len(client.sent) == 0
        assert client.kinds(frames.RESET) == [1]
        client.sent.close()
        await reading

    run(body())
