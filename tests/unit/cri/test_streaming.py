"""The CRI's streaming server, through a real WebSocket on the loopback; the command is played."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from dockyard.base.errors import Denied, Unavailable
from dockyard.base.wire import websocket
from dockyard.interfaces.cri import StreamOptions
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.cri.streaming import StreamingServer, terminal_size
from helpers.streams import Played, dial, served

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


async def messages(client: websocket.WebSocket) -> list[bytes]:
    return [message.data async for message in client]


ALL = StreamOptions(stdin=True)


def test_streams_both_ways_and_the_exit_code() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played(code=7)
        client = await dial(server.url("exec", lambda size: played, ALL))
        assert client.protocol == V5
        client.send(b"\x00to the command")
        client.send(b"\xff\x00")  # version 5: the end of channel 0
        await played.input_ended.wait()
        assert played.written == b"to the command"
        played.out.send(b"1out")
        played.out.send(b"2err")
        played.out.close()
        *output, status = await messages(client)
        assert output == [b"\x01out", b"\x02err"]
        assert status[:1] == b"\x03"
        found = json.loads(status[1:])
        assert found["status"] == "Failure" and found["reason"] == "NonZeroExitCode"
        assert found["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
        await played.closed.wait()

    served(body)


def test_success_has_no_reason() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        client = await dial(server.url("exec", lambda size: played, ALL), V4)
        assert client.protocol == V4
        played.out.close()
        (status,) = await messages(client)
        assert json.loads(status[1:]) == {"metadata": {}, "status": "Success"}

    served(body)


def test_streams_that_nobody_asked_for_are_not_sent() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        options = StreamOptions(stdin=False, stdout=True, stderr=False)
        client = await dial(server.url("exec", lambda size: played, options))
        client.send(b"\x00nobody listens")
        played.out.send(b"2err")
        played.out.send(b"1out")
        played.out.close()
        output, _ = await messages(client)
        assert output == b"\x01out"
        assert played.written == b""

    served(body)


def test_a_terminal_begins_with_its_size_and_changes_it() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        sizes: list[tuple[int, int] | None] = []

        def begin(size: tuple[int, int] | None) -> Played:
            sizes.append(size)
            return played

        options = StreamOptions(stdin=True, stderr=False, tty=True)
        client = await dial(server.url("exec", begin, options))
        client.send(b'\x04{"Width": 111, "Height": 33}')
        client.send(b'\x04{"Width": 90, "Height": 20}')
        client.send(b"\x00x")
        client.send(b"\xff\x00")
        await played.input_ended.wait()
        assert sizes == [(33, 111)]
        assert played.sizes[-1] == (20, 90)
        played.out.close()
        await messages(client)

    served(body)


def test_input_that_comes_before_a_size_is_not_lost() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        sizes: list[tuple[int, int] | None] = []

        def begin(size: tuple[int, int] | None) -> Played:
            sizes.append(size)
            return played

        options = StreamOptions(stdin=True, tty=True)
        client = await dial(server.url("exec", begin, options))
        client.send(b"\x00first")
        client.send(b'\x04{"Width": 111, "Height": 33}')
        client.send(b"\xff\x00")
        await played.input_ended.wait()
        assert (sizes, played.written) == ([(33, 111)], b"first")
        played.out.close()
        await messages(client)

    served(body)


def test_what_cannot_begin_says_why() -> None:
    async def body(server: StreamingServer) -> None:
        def begin(size: tuple[int, int] | None) -> Played:
            raise StartFailed("no-such-program: executable file not found in $PATH", 127)

        client = await dial(server.url("exec", begin, ALL))
        (status,) = await messages(client)
        found = json.loads(status[1:])
        assert found["reason"] == "InternalError"
        assert "no-such-program: executable file not found" in found["message"]

    served(body)


def test_a_client_that_leaves_ends_the_input_and_not_the_command() -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        client = await dial(server.url("exec", lambda size: played, ALL))
        await client.close()
        await played.input_ended.wait()
        await played.closed.wait()

    served(body)


@pytest.mark.parametrize("token", ["", "guessed", "../exec"])
def test_a_url_is_for_one_client_and_cannot_be_guessed(token: str) -> None:
    async def body(server: StreamingServer) -> None:
        played = Played()
        url = server.url("exec", lambda size: played, ALL)
        with pytest.raises((Denied, Unavailable)):
            await dial(url.rpartition("/")[0] + "/" + token)
        client = await dial(url)
        with pytest.raises((Denied, Unavailable)):
            await dial(url)
        played.out.close()
        await messages(client)

    served(body)


def test_spdy_without_a_version_in_common_is_refused_in_words() -> None:
    async def body(server: StreamingServer) -> None:
        url = server.url("exec", lambda size: Played(), ALL)
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write(f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n"
                     "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n".encode())  # fmt: skip
        answer = await reader.read(4096)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"unable to negotiate protocol: client supports []" in answer
        writer.close()

    served(body)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'{"Width": 80, "Height": 24}', (24, 80)),
        (b'{"Width": 0, "Height": 24}', None),
        (b'{"Width": 70000, "Height": 24}', None),
        (b'{"Width": "x", "Height": 24}', None),
        (b'{"Width": 1e999, "Height": 24}', None),
        (b"[" * 100_000, None),
        (b"[]", None),
        (b"\xff", None),
        (os.urandom(0), None),
    ],
)
def test_a19_sizes_of_a_terminal_are_checked(data: bytes, size: Any) -> None:
    assert terminal_size(data) == size
