"""Turns a rate into HTTP requests against the shop's Ingress, and counts what came of each.

Half of the clients open a connection for each request, half keep theirs. Reads and orders mix.
Nothing is ever sent twice: whatever is not answered as it should be is a failure, kept to be shown.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

ORDER = json.dumps({"product": "1", "quantity": 1}).encode()


@dataclass
class Tally:
    """What came of the requests."""

    sent: int = 0
    failures: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the answers stayed under."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Client:
    """One client: keeps its connection, or opens one for each request."""

    def __init__(self, address: tuple[str, int], host: str, keep: bool, tally: Tally) -> None:
        self.address, self.host, self.keep, self.tally = address, host, keep, tally
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, stop: asyncio.Event, pause: float) -> None:
        number = 0
        due = time.monotonic()
        while not stop.is_set():
            number += 1
            method, path, body, wanted = (
                ("POST", "/api/orders", ORDER, 201)
                if number % 3 == 0
                else ("GET", "/api/version" if number % 3 == 1 else "/", b"", 200)
            )
            await self.request(method, path, body, wanted)
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self.close()

    async def request(self, method: str, path: str, body: bytes, wanted: int) -> None:
        self.tally.sent += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(10):
                status, answer = await self.exchange(method, path, body)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            self.tally.failures.append(f"{method} {path}: {type(error).__name__} {error}")
            return
        self.tally.latencies.append(time.monotonic() - began)
        if status != wanted:
            self.tally.failures.append(f"{method} {path}: {status} {answer[:200]!r}")
        elif path == "/api/version":
            self.tally.versions[json.loads(answer)["version"]] += 1
        elif method == "POST":
            self.tally.orders.append(json.loads(answer)["id"])

    async def exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection(*self.address)
        reader, writer = self.streams
        connection = "keep-alive" if self.keep else "close"
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: {connection}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        status_line = await reader.readuntil(b"\r\n")
        status = int(status_line.split()[1])
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(":", 1) for line in head.strip().split("\r\n"))
        if "chunked" in headers.get("transfer-encoding", ""):
            answer = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                answer += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            answer = await reader.readexactly(int(headers["content-length"]))
        if not self.keep or "close" in headers.get("connection", ""):
            self.close()
        return status, answer

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


class Load:
    """Requests at a steady rate until it is left."""

    def __init__(self, address: tuple[str, int], host: str, rate: float, clients: int = 10) -> None:
        self.tally = Tally()
        self._clients = [
            Client(address, host, keep=number % 2 == 0, tally=self.tally)
            for number in range(clients)
        ]
        self._pause = clients / rate
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(client.run(self._stop, self._pause)) for client in self._clients
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)
