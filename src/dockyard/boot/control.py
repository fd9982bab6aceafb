"""Builds the control plane and runs it: API, controllers and scheduler in one event loop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import uvloop

from dockyard.base.aio.clock import Clock, RealClock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError, Unavailable
from dockyard.base.version import VERSION
from dockyard.base.wire.http import Connection
from dockyard.boot import credentials, layout, workers
from dockyard.boot.layout import Layout, Settings
from dockyard.cluster.api import admission, front, warnings
from dockyard.cluster.api.authn import Authenticator, read_tokens
from dockyard.cluster.api.cache import Caches, key_of
from dockyard.cluster.api.documents import Documents
from dockyard.cluster.api.front import Front
from dockyard.cluster.api.local import LocalTransport
from dockyard.cluster.api.nodeproxy import NodeProxy
from dockyard.cluster.api.operations import Operations
from dockyard.cluster.api.service import Service
from dockyard.cluster.api.serviceips import ServiceIps
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import ENDPOINTS, NAMESPACES, SERVICES
from dockyard.cluster.client.transport import User
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.store.contract import Store
from dockyard.cluster.store.sqlite import open_store

log = logging.getLogger("dockyard.control")
MASTER = User("system:apiserver", ("system:masters", "system:authenticated"))
YOUNG = 50_000, 20, 20
"""Objects here have no cycles, and a collection that visits each of them stops the loop."""
COMPACT_SECONDS = 300.0
"""Changes older than this (at least) are forgotten, as etcd's are for kube-apiserver."""


class ControlPlane:
    """The API of one store, and those who work on it."""

    def __init__(
        self,
        store: Store,
        place: Layout,
        settings: Settings,
        clock: Clock,
        authenticator: Authenticator,
        kubelet_tls: ssl.SSLContext | None = None,
        authority: str = "",
    ) -> None:
        """``authority``: the PEM of the cluster's certificate authority, for pods."""
        self._store, self._clock = store, clock
        self._place, self._settings, self._authority = place, settings, authority
        kinds = registry(settings.release)
        self.caches = Caches(store)
        for kind in kinds.kinds:
            if "get" in kind.verbs and not kind.hub:
                self.caches.add(kind)
        steps = admission.steps(
            self.caches, kinds, ServiceIps(self.caches, kinds, settings.service_cidr)
        )
        operations = Operations(store, self.caches, kinds, clock, steps, warnings.warn)
        self.service = Service(operations, authenticator)
        documents = Documents(kinds, f"{settings.node_address}:{settings.api_port}", VERSION)
        proxy = NodeProxy(self._node, kubelet_tls, clock)
        self.front = Front(self.service, authenticator, documents, proxy, clock)
        self.client = Client(LocalTransport(self.service, MASTER))
        self._connections: set[Connection] = set()

    def _node(self, name: str) -> Any:
        kind = self.service.operations.registry.resource("", "v1", "nodes")
        assert kind is not None
        row = self.service.operations.cache(kind).row(key_of(kind, "", name))
        return row.object() if row else None

    def connection(self) -> Connection:
        """The protocol of a new client."""
        return Connection(self.front, self._clock, register=self._register, refusal=front.refusal)

    def _register(self, connection: Connection, there: bool) -> None:
        (self._connections.add if there else self._connections.discard)(connection)

    async def start(self, tasks: Tasks) -> None:
        """Fill the caches, make what every cluster has, start those who work."""
        await self.caches.load()
        tasks.start(self.caches.run(), name="caches", essential=True)
        tasks.start(self._compact(), name="compaction")
        await self._bootstrap()
        workers.start(
            self.client,
            self.service.operations.registry,
            self._clock,
            tasks,
            local_path=str(self._place.local_volumes),
            authority=self._authority,
            chance=random.Random(),  # noqa: S311 - ties between nodes, no secret
        )

    async def _bootstrap(self) -> None:
        for name in sorted(admission.ALWAYS_THERE):
            await self._make(NAMESPACES, {"metadata": {"name": name}})
        port = {"name": "https", "port": 443, "protocol": "TCP",
                "targetPort": self._settings.api_port}  # fmt: skip
        address = self._settings.api_service_address
        await self._make(
            SERVICES,
            {
                "metadata": {
                    "name": "kubernetes",
                    "namespace": "default",
                    "labels": {"component": "apiserver", "provider": "kubernetes"},
                },
                "spec": {"clusterIP": address, "ports": [port]},
            },
        )
        subset = {
            "addresses": [{"ip": self._settings.node_address}],
            "ports": [{"name": "https", "port": self._settings.api_port, "protocol": "TCP"}],
        }
        await self._make(
            ENDPOINTS,
            {"metadata": {"name": "kubernetes", "namespace": "default"}, "subsets": [subset]},
        )

    async def _make(self, resource: Any, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        try:
            await self.client.get(resource, metadata["name"], metadata.get("namespace", ""))
        except NotFound:
            await self.client.create(resource, obj)

    async def _compact(self) -> None:
        """Forget changes that are two periods old."""
        before = 0
        while True:
            await self._clock.sleep(COMPACT_SECONDS)
            if before:
                await self._store.compact(before)
            before = self._store.revision()

    def close(self) -> None:
        """Answer what is being answered, then close every connection."""
        for connection in list(self._connections):
            connection.close_soon()


async def serve(
    place: Layout, settings: Settings, host: str, token_file: Path | None, ready: Any
) -> None:
    """Run until SIGTERM or SIGINT. ``ready`` is called when the API answers."""
    clock = RealClock()
    tokens = read_tokens(token_file) if token_file else {}
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    place.cluster.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(str(place.store), clock)  # refuses a second server, before it writes
    try:
        layout.save(place, settings)
        credentials.ensure(place, settings, clock.time())
        kubelet_tls = credentials.client_context(place, "apiserver-client")
        authority = (place.pki / "ca.crt").read_text()
        plane = ControlPlane(
            store, place, settings, clock, Authenticator(tokens), kubelet_tls, authority
        )
        async with Tasks() as tasks:
            await plane.start(tasks)
            tls = credentials.server_context(place, "apiserver", require_client=False)
            try:
                server = await loop.create_server(
                    plane.connection, host, settings.api_port, ssl=tls, backlog=512
                )
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else str(error)
                raise Unavailable(f"server: {host}:{settings.api_port}: {why}; listen on another "
                                  "address or port") from error  # fmt: skip
            gc.collect()
            gc.freeze()
            gc.set_threshold(*YOUNG)
            log.info("serving on %s:%d", host, settings.api_port)
            ready()
            await stop.wait()
            server.close()
            plane.close()
    finally:
        await store.close()


def main() -> int:
    """The process that the supervisor runs: ``--data-dir DIR``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    place = Layout(parser.parse_args().data_dir)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    settings = layout.load(place)
    if settings is None:
        print(f"control: {place.config}: is missing; start with `dockyard up`", file=sys.stderr)
        return 1
    try:
        uvloop.run(serve(place, settings, "0.0.0.0", None, lambda: None))  # noqa: S104
    except DockyardError as error:
        print(f"control: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
