"""Commands and ports over SPDY/3.1, as kubectl of before 1.31 (and client-go's fallback) speaks it,
and ports over WebSocket: through the streaming server on the loopback."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable

import pytest

from dockyard.base.wire import spdyframes as frames
from dockyard.base.wire.spdy import Pipe
from dockyard.interfaces.cri import StreamOptions
from dockyard.node.cri import portforward
from dockyard.node.cri.portforward import CHANNELS, TUNNELLED, TunnelledPipe
from dockyard.node.cri.streaming import StreamingServer
from helpers.streams import Played, dial, served

V4 = "v4.channel.k8s.io"
POD = "0123456789ab"


class Client:
    """A SPDY client over a socket or a WebSocket."""

    def __init__(self, send: Callable[[bytes], None], receive: Callable[[], Awaitable[bytes]]):
        self._send, self._receive = send, receive
        self._encoder, self._decoder = frames.Encoder(), frames.Decoder()
        self._last = -1
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.kinds: list[tuple[int, int]] = []
        self.closed = False

    def open(self, kind: str, **headers: str) -> int:
        self._last += 2
        self._send(self._encoder.open(self._last, {"streamtype": kind, **headers}))
        return self._last

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        self._send(frames.data(stream, data, fin=fin))

    def reset(self, stream: int) -> None:
        self._send(frames.reset(stream, frames.CANCEL))

    async def until(self, done: Callable[[], bool]) -> None:
        while not done() and not self.closed:
            data = await self._receive()
            self.closed = not data
            for frame in self._decoder.feed(data):
                self.kinds.append((frame.kind, frame.stream))
                self.data[frame.stream] = self.data.get(frame.stream, b"") + frame.data
                if frame.fin:
                    self.ended.add(frame.stream)
        assert done(), (self.data, self.kinds)


async def upgraded(url: str, version: str) -> tuple[Client, asyncio.StreamWriter]:
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(
        f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: Upgrade\r\n"
        f"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v9.channel.k8s.io\r\n"
        f"X-Stream-Protocol-Version: {version}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    assert f"X-Stream-Protocol-Version: {version}\r\n".encode() in head
    return Client(writer.write, lambda: reader.read(65536)), writer


def test_a_command() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played(code=7)
        url = server.url("exec", lambda size: played, StreamOptions(stdin=True))
        client, _ = await upgraded(url, V4)
        error, stdin = client.open("error"), client.open("stdin")
        stdout, stderr = client.open("stdout"), client.open("stderr")
        client.send(stdin, b"to the command", fin=True)
        await played.input_ended.wait()
        assert played.written == b"to the command"
        played.out.send(b"1out")
        played.out.send(b"2err")
        played.out.close()
        await client.until(lambda: client.ended == {error, stdin, stdout, stderr})
        assert (client.data[stdout], client.data[stderr]) == (b"out", b"err")
        status = json.loads(client.data[error])
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
        await client.until(lambda: (frames.AWAY, stderr) in client.kinds)

    served(body)


def test_a_terminal_begins_with_its_size() -> None:
    async def body(server: StreamingServer) -> None:
        played, sizes = Played(), list[tuple[int, int] | None]()

        def begin(size: tuple[int, int] | None) -> Played:
            sizes.append(size)
            return played

        url = server.url("exec", begin, StreamOptions(stdin=True, stderr=False, tty=True))
        client, writer = await upgraded(url, V4)
        for kind in ("error", "stdin", "stdout"):
            client.open(kind)
        resize = client.open("resize")
        client.send(resize, json.dumps({"Width": 80, "Height": 24}).encode())
        played.out.send(b"1$ ")
        await client.until(lambda: client.data.get(5) == b"$ ")
        assert sizes == [(24, 80)]
        writer.close()  # the client leaves: its input ends, the command is let go
        await played.input_ended.wait()
        await played.closed.wait()

    served(body)


def test_streams_that_nobody_asked_for_are_reset() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        client, _ = await upgraded(server.url("exec", lambda size: played, StreamOptions()), V4)
        error, stdout, again = client.open("error"), client.open("stdout"), client.open("stdout")
        stdin, _ = client.open("stdin"), client.open("stderr")
        await client.until(lambda: {(3, again), (3, stdin)} <= set(client.kinds))
        played.out.close()
        await client.until(lambda: error in client.ended and stdout in client.ended)
        assert json.loads(client.data[error])["status"] == "Success"

    served(body)


# ports


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Gives back in capitals what it is sent, and ends when the client does."""
    while data := await reader.read(65536):
        writer.write(data.upper())
        await writer.drain()
    writer.write(b"!")
    writer.close()


Opened = Callable[[StreamingServer], Awaitable[Client]]


async def over_spdy(server: StreamingServer) -> Client:
    url = server.forward_url(dialled, (), POD)
    client, _ = await upgraded(url, portforward.PROTOCOL)
    return client


async def over_websocket(server: StreamingServer) -> Client:
    socket = await dial(server.forward_url(dialled, (), POD), TUNNELLED)
    assert socket.protocol == TUNNELLED
    pipe: Pipe = TunnelledPipe(socket)

    async def receive() -> bytes:
        return await pipe.receive() or b""

    return Client(pipe.send, receive)


async def dialled(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await portforward.connect(portforward.own_sockets(), port)


def forwarding(opened: Opened, body: Callable[[Client, int], Awaitable[None]]) -> None:
    async def main(server: StreamingServer) -> None:
        listener = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with listener:
            client = await opened(server)
            await body(client, listener.sockets[0].getsockname()[1])

    served(main)


@pytest.mark.parametrize("opened", [over_spdy, over_websocket])
def test_connections_to_a_port(opened: Opened) -> None:
    async def body(client: Client, port: int) -> None:
        pairs = []
        for number in ("0", "1"):
            error = client.open("error", port=str(port), requestid=number)
            data = client.open("data", port=str(port), requestid=number)
            client.send(error, b"", fin=True)
            pairs.append((error, data))
        large = b"abcdefgh" * 40_000
        client.send(pairs[0][1], large, fin=True)
        client.send(pairs[1][1], b"two")
        await client.until(lambda: pairs[0][1] in client.ended)
        assert client.data[pairs[0][1]] == large.upper() + b"!"
        await client.until(lambda: client.data.get(pairs[1][1]) == b"TWO")
        client.reset(pairs[1][1])  # kubectl's way to end a connection
        await client.until(lambda: pairs[1][0] in client.ended)
        assert client.data[pairs[1][0]] == b""

    forwarding(opened, body)


@pytest.mark.parametrize("opened", [over_spdy, over_websocket])
def test_a_port_where_nobody_listens(opened: Opened) -> None:
    async def body(client: Client, port: int) -> None:
        error = client.open("error", port="1", requestid="0")
        data = client.open("data", port="1", requestid="0")
        await client.until(lambda: {error, data} <= client.ended)
        why = client.data[error].decode()
        assert why.startswith(f"error forwarding port 1 to pod {POD}: failed to connect to ")
        assert "127.0.0.1: connection refused" in why

    forwarding(opened, body)


def test_a_client_without_numbers_opens_the_bytes_behind_the_error() -> None:
    async def body(client: Client, port: int) -> None:
        client.open("error", port=str(port))
        data = client.open("data", port=str(port))
        client.send(data, b"x", fin=True)
        await client.until(lambda: client.data.get(data) == b"X!")

    forwarding(over_spdy, body)


@pytest.mark.parametrize(
    "headers", [{"port": "0"}, {"port": "65536"}, {"port": "-1"}, {"port": "http"}, {}]
)
def test_what_is_no_port_is_reset(headers: dict[str, str]) -> None:
    async def body(client: Client, port: int) -> None:
        stream = client.open("data", **headers)
        await client.until(lambda: (frames.RESET, stream) in client.kinds)

    forwarding(over_spdy, body)


def test_the_older_websocket_form_has_two_channels_a_port() -> None:
    async def main(server: StreamingServer) -> None:
        listener = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            client = await dial(server.forward_url(dialled, (port, 1), POD), CHANNELS)
            greeting = [await client.receive() for _ in range(4)]
            assert [each.data for each in greeting if each] == [
                bytes([channel]) + struct.pack("<H", number)
                for channel, number in ((0, port), (1, port), (2, 1), (3, 1))
            ]
            client.send(b"\x00abc")
            client.send(b"\x02nobody is there")
            client.send(b"\x77no such channel")
            found = {(m.data[0], m.data[1:]) for m in [await client.receive() for _ in (1, 2)] if m}
            assert (0, b"ABC") in found
            assert any(channel == 3 and b"connection refused" in why for channel, why in found)
            await client.close()

    served(main)
