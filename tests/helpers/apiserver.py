"""The API over a store in memory, alone: no controllers change what a test has written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.base.aio.clock import Clock, RealClock
from dockyard.base.aio.tasks import Tasks
from dockyard.boot.control import MASTER, ControlPlane
from dockyard.boot.layout import Layout, Settings
from dockyard.cluster.api.authn import Authenticator
from dockyard.cluster.api.local import LocalTransport
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.http import HttpTransport
from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.resources import NAMESPACES
from dockyard.cluster.client.transport import Transport, User
from dockyard.cluster.store.memory import MemoryStore
from helpers.detecting import Detecting

TOKENS = {
    "admin-token": User("admin", ("system:masters", "system:authenticated")),
    "nobody-token": User("nobody", ("system:authenticated",)),
}
SETTINGS = Settings(
    release="1.33",
    node_name="node-1",
    node_address="127.0.0.1",
    api_port=6443,
    kubelet_port=10250,
    ingress_port=8080,
    pod_cidr="10.77.0.0/24",
    service_cidr="10.78.0.0/24",
)


class ApiServer:
    """What a test asks: in process, or at a port of 127.0.0.1 without TLS."""

    def __init__(self, plane: ControlPlane, store: MemoryStore, port: int) -> None:
        self.plane, self.store, self.port = plane, store, port
        self.detector = MutationDetector()
        self.local = Detecting(LocalTransport(plane.service, MASTER), self.detector)
        self.client = Client(self.local)

    def http(self, token: str = "admin-token") -> HttpTransport:
        return HttpTransport(f"http://127.0.0.1:{self.port}", None, RealClock(), token=token)

    def local_as(self, user: User) -> Transport:
        return Detecting(LocalTransport(self.plane.service, user), self.detector)

    async def raw(self, data: bytes) -> bytes:
        """What the server answers to a request that ends its connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    place: Path,
    clock: Clock | None = None,
    tokens: Mapping[str, User] | None = None,
    store: MemoryStore | None = None,
) -> AsyncIterator[ApiServer]:
    """A server with the namespace ``default``."""
    clock = clock or RealClock()
    store = store or MemoryStore(clock)
    plane = ControlPlane(
        store, Layout(place), SETTINGS, clock, Authenticator(tokens or TOKENS), None, ""
    )
    async with Tasks() as tasks:
        await plane.caches.load()
        tasks.start(plane.caches.run(), name="caches", essential=True)
        for name in ("default", "other"):
            await plane.client.create(NAMESPACES, {"metadata": {"name": name}})
        server = await asyncio.get_running_loop().create_server(plane.connection, "127.0.0.1", 0)
        try:
            found = ApiServer(plane, store, server.sockets[0].getsockname()[1])
            yield found
            found.detector.check()
        finally:
            plane.close()
            server.close()
    await store.close()


MAPS = "/api/v1/namespaces/default/configmaps"


class Answer(NamedTuple):
    code: int
    headers: str
    body: bytes

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        assert found["kind"] == "Status"
        assert found["code"] == self.code
        return found


def run(tmp_path: Path, body: Callable[[ApiServer], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server, RealClock().timeout(60):
            await body(server)

    asyncio.run(main())


async def ask(
    server: ApiServer,
    path: str,
    *headers: str,
    method: str = "GET",
    body: bytes = b"",
    media: str = "application/json",
    token: str = "admin-token",
) -> Answer:
    upgrade = any("Upgrade" in header for header in headers)
    ending = () if upgrade else ("Connection: close",)
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *ending, *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or method != "GET":
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    answer = await server.raw("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ")[1]), head.decode(), rest)
