"""Turns requests from outside into requests to pods: the Ingresses of the cluster, served.

A pod is connected to directly. Only a connection that could not be made is tried elsewhere; what
has been sent is sent again once at most, and only if it is a GET or HEAD that got no answer.
Nobody repeats a POST: it also has a connection of its own, that no pod has had time to give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.wire.http import Connection, Request
from dockyard.base.wire.tunnel import Tunnel
from dockyard.cluster.client.client import Client as ApiClient
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import (
    ENDPOINT_SLICES,
    INGRESS_CLASSES,
    INGRESSES,
    SERVICES,
)
from dockyard.cluster.client.transport import Object
from dockyard.cluster.ingress.endpoints import Endpoints, Place
from dockyard.cluster.ingress.exchange import SWITCHING, Answer, Torn, copy_answer, read_answer
from dockyard.cluster.ingress.heads import Bad, Client, is_websocket, request_head, split_target
from dockyard.cluster.ingress.pool import Link, Pool
from dockyard.cluster.ingress.routing import Table, is_ours
from dockyard.cluster.ingress.status import IngressStatus

log = logging.getLogger("dockyard.ingress")
CONNECT_SECONDS = 5.0
MOST_CONNECTS = 4
LARGEST_BODY = 32 * 1024 * 1024
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"


class IngressProxy:
    """The HTTP server of all Ingresses. ``address``: where clients find it."""

    def __init__(self, informers: Informers, client: ApiClient, clock: Clock, address: str) -> None:
        self._clock = clock
        self._ingresses = informers.of(INGRESSES)
        self._classes = informers.of(INGRESS_CLASSES)
        self._all = (self._ingresses, self._classes,
                     informers.of(SERVICES), informers.of(ENDPOINT_SLICES))  # fmt: skip
        self._pool = Pool(clock)
        self._endpoints = Endpoints(informers, self._pool)
        self._status = IngressStatus(self._ingresses, client, clock, address, self._is_ours)
        self._table: Table | None = None
        self._connections: set[Connection] = set()
        self._ingresses.add_handler(self._on_change)
        self._classes.add_handler(self._on_class)

    async def serve(self, host: str, port: int) -> None:
        """Serve until cancelled."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, self._clock, LARGEST_BODY, self._register), host, port
        )
        try:
            async with Tasks() as tasks:
                tasks.start(self._status.run(), name="ingress status", essential=True)
                await asyncio.Event().wait()
        finally:
            server.close()
            for connection in list(self._connections):
                connection.transport.close()
            await self._pool.close()

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None]:
        return self._handle(request, connection)

    async def _handle(self, request: Request, connection: Connection) -> None:
        try:
            await self._forward(request, connection)
        except Torn as error:
            log.warning("%s %r: the answer broke off: %s", request.method, request.target, error)
            connection.transport.abort()
        except TimeoutError:
            _refuse(connection, 504, "the backend did not answer in time")
        except (OSError, EOFError, Bad) as error:
            log.warning("%s %r: %s", request.method, request.target, error)
            _refuse(connection, 502, "the backend did not answer")
        except Exception:
            log.exception("%s %r", request.method, request.target)
            _refuse(connection, 500, "see the ingress's log")

    async def _forward(self, request: Request, connection: Connection) -> None:
        upgrade = is_websocket(request)
        if request.upgrade:
            request.keep_alive = False  # nothing behind an upgrade is read as HTTP
            if not upgrade and (
                request.all(b"content-length") or request.all(b"transfer-encoding")
            ):
                _refuse(connection, 501, "a request with a body cannot be upgraded")
                return
        try:
            host, target = split_target(request)
        except ValueError as error:
            _refuse(connection, 400, str(error))
            return
        if not all(informer.has_synced for informer in self._all):
            _refuse(connection, 503, "the cluster's Ingresses are not known yet")
            return
        backend = self._rules().find(host, target.partition("?")[0])
        if backend is None:
            _refuse(connection, 404, "no Ingress has this host and path")
            return
        places = self._endpoints.of(backend)
        if not places:
            _refuse(connection, 503, "the Service has no endpoint that is ready")
            return
        client = _client(connection, host)
        safe = request.method in ("GET", "HEAD") and not request.body and not request.upgrade
        message = request_head(request, target, client, keep=safe) + request.body
        place, link, answer = await self._ask(request, message, places, safe=safe)
        keep = False
        try:
            if answer.status == SWITCHING:
                if not upgrade:
                    raise Bad("an upgrade that nobody asked for")
                await Tunnel(connection, *link).run(SWITCHING, answer.headers)
            else:
                keep = await copy_answer(answer, link, connection, request.method, self._clock)
        finally:
            if keep and safe and self._endpoints.has(backend, place):
                self._pool.put(place, link)
            else:
                link.close()

    async def _ask(
        self, request: Request, message: bytes, places: tuple[Place, ...], *, safe: bool
    ) -> tuple[Place, Link, Answer]:
        """Send a request; the head of its answer. A safe one is sent again once."""
        link = await self._pool.take(places[0]) if safe else None
        place = places[0]
        for again in (safe, False):
            if link is None:
                place, link = await self._connect(places)
            try:
                link.writer.write(message)
                return place, link, await read_answer(link, request.method, self._clock)
            except (ConnectionError, EOFError):
                link.close()
                if not again:
                    raise
                link, places = None, places[1:] + places[:1]
            except BaseException:
                link.close()
                raise
        raise AssertionError("unreachable")

    async def _connect(self, places: tuple[Place, ...]) -> tuple[Place, Link]:
        """A new connection to the first that accepts one: nothing has been sent yet."""
        failure: Exception = ConnectionError("no endpoint")
        for place in places[:MOST_CONNECTS]:
            try:
                async with self._clock.timeout(CONNECT_SECONDS):
                    return place, Link(*await asyncio.open_connection(*place))
            except (OSError, TimeoutError) as error:
                log.info("connect to %s:%d: %s", *place, error or "timed out")
                failure = error
        raise failure

    # what changes

    def _rules(self) -> Table:
        if self._table is None:
            self._table = Table(each for each in self._ingresses if self._is_ours(each))
        return self._table

    def _is_ours(self, ingress: Object) -> bool:
        names = {each["metadata"]["name"]: each["spec"]["controller"] for each in self._classes}
        return is_ours(ingress, names)

    def _on_change(self, before: Object | None, after: Object | None) -> None:
        self._table = None

    def _on_class(self, before: Object | None, after: Object | None) -> None:
        self._table = None
        self._status.look_again()

    def _register(self, connection: Connection, there: bool) -> None:
        (self._connections.add if there else self._connections.discard)(connection)


def _client(connection: Connection, host: str) -> Client:
    peer = connection.transport.get_extra_info("peername")
    tls = connection.transport.get_extra_info("ssl_object") is not None
    return Client(str(peer[0]) if peer else "unknown", host, tls)


def _refuse(connection: Connection, status: int, why: str) -> None:
    connection.respond(status, TEXT, f"{why}\n".encode())
