"""Requests through the ingress to pods that are servers on loopback addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from dockyard.base.aio.clock import Clock, RealClock, TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import ENDPOINT_SLICES, INGRESSES, SERVICES
from dockyard.cluster.ingress.proxy import IngressProxy
from helpers.memoryapi import MemoryApi

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
SHOP = "shop.example.org"
READY = {"ready": True, "serving": True, "terminating": False}
Answer = Callable[[bytes, "Pod"], bytes]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Pod:
    """A server whose answers are bytes; it remembers what it was sent, and over how many."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.seen: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line[15:])
                self.seen.append(head + await reader.readexactly(length))
                found = self.answer(self.seen[-1], self)
                writer.write(found)
                if not found or b"x-end" in found:
                    break
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


class World:
    """An ingress, its cluster, its pods."""

    def __init__(self, api: MemoryApi, port: int, pod_port: int, stack: AsyncExitStack) -> None:
        self.api, self.port, self.pod_port, self._stack = api, port, pod_port, stack

    async def pod(self, address: str, answer: Answer) -> Pod:
        made = Pod(answer)
        server = await asyncio.start_server(made.serve, address, self.pod_port)
        self._stack.callback(server.close)
        return made

    def endpoints(self, *addresses: str) -> None:
        labels = {"kubernetes.io/service-name": "web"}
        self.api.put(ENDPOINT_SLICES, {
            "metadata": {"namespace": "shop", "name": "web-1", "labels": labels},
            "ports": [{"name": "http", "port": self.pod_port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [a], "conditions": READY} for a in addresses],
        })  # fmt: skip

    async def ask(self, text: str, *, upgrade: bytes = b"") -> bytes:
        """One request over a connection of its own; what comes until its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head, _, body = text.partition("\n\n")
        lines = head.replace("\n", "\r\n").encode()
        closing = b"" if upgrade else b"Connection: close\r\n"
        writer.write(lines + b"\r\n" + closing + b"\r\n" + body.encode() + upgrade)
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def world(clock: Clock, *addresses: str) -> AsyncIterator[World]:
    api = MemoryApi()
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    web = {"metadata": {"namespace": "shop", "name": "web"}, "spec": {"ports": ports}}
    api.put(SERVICES, web)
    path = {"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"name": "http"}}}}  # fmt: skip
    rules = [{"host": SHOP, "http": {"paths": [path]}}]
    api.put(INGRESSES, {"metadata": {"namespace": "shop", "name": "shop"},
                        "spec": {"rules": rules}})  # fmt: skip
    informers = Informers(Client(api), clock)
    proxy = IngressProxy(informers, Client(api), clock, "192.0.2.10")
    async with AsyncExitStack() as stack, Tasks() as tasks:
        made = World(api, free_port(), free_port(), stack)
        made.endpoints(*addresses)
        informers.start(tasks)
        await informers.synced()
        tasks.start(proxy.serve("127.0.0.1", made.port), name="ingress", essential=True)
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", made.port)
                writer.close()
                break
            except OSError:
                await RealClock().sleep(0.005)
        yield made


def run(test: Callable[[Clock], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with RealClock().timeout(15):
            await test(RealClock())

    asyncio.run(limited())


def text(body: str, *headers: str) -> Answer:
    lines = "".join(f"{each}\r\n" for each in headers)
    answer = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    return lambda asked, pod: answer


GET = f"GET /a?b HTTP/1.1\nHost: {SHOP}"
POST = f"POST /orders HTTP/1.1\nHost: {SHOP}\nContent-Length: 3\n\none"


def test_a_request_reaches_a_pod_and_its_answer_the_client() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, text("hello", "X-Own: 1"))
            found = await here.ask(GET)
            assert found.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"x-own: 1\r\n" in found
            assert found.endswith(b"\r\n\r\nhello")
            assert pod.seen[0].startswith(b"GET /a?b HTTP/1.1\r\nHost: shop.example.org\r\n")
            assert b"X-Forwarded-For: 127.0.0.1\r\n" in pod.seen[0]
            found = await here.ask(POST)
            assert found.endswith(b"hello")
            assert pod.seen[1].endswith(b"\r\n\r\none")

    run(test)


def test_what_no_ingress_has_and_what_has_no_pods() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock) as here:
            assert b" 404 " in await here.ask("GET / HTTP/1.1\nHost: other.example.org")
            assert b" 503 " in await here.ask(GET)
            assert b" 400 " in await here.ask("GET / HTTP/1.1\nHost: a b")
            here.endpoints(FIRST)
            await clock.sleep(0.05)
            assert b" 502 " in await here.ask(GET)

    run(test)


def test_requests_go_round() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST, SECOND) as here:
            pods = [await here.pod(each, text("x")) for each in (FIRST, SECOND)]
            for _ in range(6):
                await here.ask(POST)
            assert [len(pod.seen) for pod in pods] == [3, 3]

    run(test)


def test_a_pod_that_cannot_be_connected_to_fails_no_request() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST, SECOND) as here:
            pod = await here.pod(SECOND, text("x"))
            for _ in range(4):
                assert b" 200 " in await here.ask(POST)
            assert len(pod.seen) == 4

    run(test)


def test_a_post_that_was_sent_is_never_sent_again() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST, SECOND) as here:
            pods = [await here.pod(each, lambda asked, pod: b"") for each in (FIRST, SECOND)]
            assert b" 502 " in await here.ask(POST)
            assert sum(len(pod.seen) for pod in pods) == 1

    run(test)


def test_a_get_without_an_answer_is_sent_once_more_elsewhere() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST, SECOND) as here:
            silent = await here.pod(FIRST, lambda asked, pod: b"")
            pod = await here.pod(SECOND, text("x"))
            assert b" 200 " in await here.ask(GET)
            assert (len(silent.seen), len(pod.seen)) == (1, 1)

    run(test)


def test_connections_are_kept_for_gets_only_and_while_the_pod_is_ready() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, text("x"))
            for _ in range(3):
                assert b" 200 " in await here.ask(GET)
            assert pod.connections == 1
            await here.ask(POST)
            await here.ask(POST)
            assert pod.connections == 3
            here.endpoints()
            await clock.sleep(0.05)
            assert pod.writers[0].is_closing()
            here.endpoints(FIRST)
            await clock.sleep(0.05)
            assert b" 200 " in await here.ask(GET)
            assert pod.connections == 4

    run(test)


def test_a_kept_connection_that_ends_fails_no_request() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, text("x"))
            for _ in range(3):
                assert b" 200 " in await here.ask(GET)
                pod.writers[-1].close()
            assert pod.connections == 3

    run(test)


def test_c09_what_a_pod_says_unasked_is_nobodys_answer() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            mine = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
            await here.pod(FIRST, lambda asked, pod: mine + b"HTTP/1.1 200 OK\r\n"
                           b"Content-Length: 6\r\n\r\npoison")  # fmt: skip
            for _ in range(3):
                assert (await here.ask(GET)).endswith(b"\r\n\r\nx")

    run(test)


def test_long_chunked_and_endless_answers() -> None:
    big = b"y" * 300_000

    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, lambda asked, pod: b"")
            pod.answer = lambda asked, pod: (
                b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + big
            )
            found = await here.ask(GET)
            assert b"Content-Length: 300000\r\n" in found
            assert found.endswith(b"\r\n\r\n" + big)
            pod.answer = lambda asked, pod: (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n"
            )
            assert (await here.ask(GET)).endswith(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
            old = await here.ask(GET.replace("HTTP/1.1", "HTTP/1.0"))
            assert old.endswith(b"\r\n\r\nhello!")
            pod.answer = lambda asked, pod: b"HTTP/1.1 200 OK\r\nx-end: 1\r\n\r\nhello"
            assert (await here.ask(GET)).endswith(b"5\r\nhello\r\n0\r\n\r\n")

    run(test)


def test_answers_without_a_body() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, lambda asked, pod: b"")
            pod.answer = lambda asked, pod: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
            found = await here.ask(GET.replace("GET", "HEAD"))
            assert b"Content-Length: 9\r\n" in found
            assert found.endswith(b"\r\n\r\n")
            pod.answer = lambda asked, pod: b"HTTP/1.1 204 No Content\r\n\r\n"
            found = await here.ask(GET)
            assert b"Content-Length" not in found
            assert b"Transfer-Encoding" not in found

    run(test)


def test_c09_broken_answers() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            pod = await here.pod(FIRST, lambda asked, pod: b"")
            for head in (b"nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1",
                         b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 1",
                         b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x"):  # fmt: skip
                answer = head + b"\r\nx-end: 1\r\n\r\nx"
                pod.answer = lambda asked, pod, answer=answer: answer  # type: ignore[misc]
                assert b" 502 " in (await here.ask(GET)).partition(b"\r\n")[0]
            chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-end: 1\r\n\r\n5\r\nhel"
            pod.answer = lambda asked, pod: chunks
            try:
                found = await here.ask(GET)
            except ConnectionResetError:
                found = b""
            assert not found.endswith(b"0\r\n\r\n")

    run(test)


def test_a_websocket() -> None:
    switch = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        writer.write(switch)
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            server = await asyncio.start_server(echo, FIRST, here.pod_port)
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            head = f"GET /ws HTTP/1.1\r\nHost: {SHOP}\r\nConnection: Upgrade\r\n"
            writer.write(f"{head}Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\none".encode())
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(3) == b"ONE"
            writer.write(b"two")
            assert await reader.readexactly(3) == b"TWO"
            writer.close()
            server.close()

    run(test)


def test_a_pod_that_does_not_answer() -> None:
    clock = TurnableClock()

    async def test() -> None:
        async with world(clock, FIRST) as here:
            asked = asyncio.Event()

            async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                asked.set()
                await reader.read()
                writer.close()

            server = await asyncio.start_server(silent, FIRST, here.pod_port)
            waiting = asyncio.create_task(here.ask(GET))
            await asked.wait()
            await clock.advance(61)
            assert b" 504 " in await waiting
            server.close()

    run_turnable(clock, test())


def test_an_ingress_has_its_address_as_status() -> None:
    async def test(clock: Clock) -> None:
        async with world(clock, FIRST) as here:
            await clock.sleep(0.05)
            found = here.api.at(INGRESSES, "shop", "shop")
            assert found["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
            changes: list[Any] = [each for each in here.api.calls if each.verb == "patch"]
            assert [each.subresource for each in changes] == ["status"]

    run(test)
