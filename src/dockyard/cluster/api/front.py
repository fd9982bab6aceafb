"""Turns HTTP requests into calls of the API, and what comes of them into HTTP answers.

The hot path is a GET of one object: two dictionary look-ups and bytes that are there already.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from dockyard.base.aio.clock import Clock
from dockyard.base.wire.http import Connection
from dockyard.base.wire.http import Request as HttpRequest
from dockyard.cluster.api import authz, bodies, routes, subresources, tables, warnings
from dockyard.cluster.api.authn import Authenticator
from dockyard.cluster.api.cache import Cache, key_of
from dockyard.cluster.api.documents import Documents
from dockyard.cluster.api.nodeproxy import NodeProxy
from dockyard.cluster.api.operations import Found
from dockyard.cluster.api.rows import Row
from dockyard.cluster.api.service import Service
from dockyard.cluster.api.watching import stream
from dockyard.cluster.client.transport import Request, User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.decode import MAX_BODY

log = logging.getLogger("dockyard.api")
JSON = b"Content-Type: application/json\r\n"
STREAMED = ("exec", "attach", "portforward")
SLICE = 200
"""Rows that are rendered in one go: the loop serves others in between."""
LARGE = 256 * 1024
LISTED = b'%s,"items":['

MOST_HOT = 16384


def refusal(status: int, why: str) -> tuple[bytes, bytes]:
    """A Status for a request that could not be read."""
    if status == errors.TooLarge.code:
        return JSON, orjson.dumps(errors.too_large(MAX_BODY).status())
    return JSON, orjson.dumps(errors.BadRequest(why, code=status).status())


class Hot(NamedTuple):
    """What there is to know of a target that names one object."""

    request: Request
    kind: Kind
    cache: Cache
    key: str


class Front:
    """The handler of every connection."""

    def __init__(
        self,
        service: Service,
        authenticator: Authenticator,
        documents: Documents,
        node_proxy: NodeProxy,
        clock: Clock,
    ) -> None:
        self._service, self._authenticator = service, authenticator
        self._documents, self._proxy, self._clock = documents, node_proxy, clock
        self._hot: dict[bytes, Hot] = {}

    def __call__(self, request: HttpRequest, connection: Connection) -> Awaitable[None] | None:
        try:
            user = self._user(request, connection)
            accept = request.header(b"accept")
            hot = self._hot.get(request.target)
            if hot is not None and request.method == "GET" and not tables.form_of(accept):
                self._get(hot, user, connection)
                return None
            return self._warm(request, connection, user, accept)
        except errors.ApiError as error:
            self._fail(connection, error)
        except Exception:
            log.exception("%s %r", request.method, request.target)
            self._fail(connection, errors.InternalError("see the server's log"))
        return None

    def _warm(
        self, request: HttpRequest, connection: Connection, user: User, accept: str
    ) -> Awaitable[None] | None:
        target = routes.parse(request.target)
        route = target.route
        if route is None:
            return self._document(request, connection, target.path, user)
        verb = routes.verb_of(request.method, route, target.options)
        wanted = Request(
            verb, route.resource, route.namespace, route.name, route.subresource,
            options=target.options,
        )  # fmt: skip
        if verb == "get" and not route.subresource and not tables.form_of(accept):
            authz.authorize(wanted, user)
            kind = self._service.kind(wanted)
            hot = Hot(wanted, kind, self._service.operations.cache(kind),
                      key_of(kind, wanted.namespace, wanted.name))  # fmt: skip
            if len(self._hot) >= MOST_HOT:
                self._hot.clear()
            self._hot[request.target] = hot
            self._get(hot, user, connection)
            return None
        return self._slow(request, target, wanted, user, connection, accept)

    def _user(self, request: HttpRequest, connection: Connection) -> User:
        if connection.user is None:
            socket = connection.transport.get_extra_info("ssl_object")
            found = socket.getpeercert() if isinstance(socket, ssl.SSLObject) else None
            connection.user = (self._authenticator.of_certificate(found),)
        known = connection.user
        assert isinstance(known, tuple)
        return self._authenticator.of_request(request, known[0])

    def _document(
        self, request: HttpRequest, connection: Connection, path: str, user: User
    ) -> Awaitable[None] | None:
        authz.authorize_path(path, request.method.lower(), user)
        if request.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed("the server does not allow this method on the requested "
                                          "resource")  # fmt: skip
        accept = request.header(b"accept")
        if self._documents.takes_long(path):
            return self._document_later(path, accept, connection)
        media, body = self._documents.get(path, accept)
        connection.respond(200, b"Content-Type: %s\r\n" % media, body)
        return None

    async def _document_later(self, path: str, accept: str, connection: Connection) -> None:
        """What is made in a thread, the first time."""
        media, body = await asyncio.to_thread(self._documents.get, path, accept)
        connection.respond(200, b"Content-Type: %s\r\n" % media, body)

    def _get(self, hot: Hot, user: User, connection: Connection) -> None:
        authz.authorize(hot.request, user)
        row = hot.cache.row(hot.key)
        if row is None:
            raise errors.not_found(hot.kind.plural, hot.request.name, hot.kind.group)
        connection.respond(200, JSON, self._service.render(hot.kind, row))

    async def _slow(
        self,
        request: HttpRequest,
        target: routes.Target,
        wanted: Request,
        user: User,
        connection: Connection,
        accept: str,
    ) -> None:
        warnings.begin()
        try:
            if wanted.subresource in subresources.PROXIED:
                await self._proxied(request, target, wanted, user, connection)
            elif wanted.verb == "watch":
                kind, watcher, options = self._service.watch(wanted, user)
                try:
                    await stream(self._service, kind, watcher, options, connection, accept,
                                 wanted.options, self._clock)  # fmt: skip
                finally:
                    self._service.operations.cache(kind).unwatch(watcher)
            else:
                wanted = bodies.with_body(wanted, request)
                found = await self._service.call(wanted, user)
                await self._answer(found, wanted, accept, connection)
        except errors.ApiError as error:
            self._fail(connection, error)
        except ConnectionError:
            connection.transport.close()
        except Exception:
            log.exception("%s %r", request.method, request.target)
            self._fail(connection, errors.InternalError("see the server's log"))

    async def _proxied(
        self, request: HttpRequest, target: routes.Target, wanted: Request, user: User,
        connection: Connection,
    ) -> None:  # fmt: skip
        """Logs and streams are the kubelet's; an upgrade by GET needs the right to create (F06)."""
        streamed = wanted.subresource in STREAMED
        authz.authorize(replace(wanted, verb="create") if streamed else wanted, user)
        kind = self._service.kind(wanted)
        subresources.known(kind, wanted)
        pod = self._service.operations.get(kind, wanted.namespace, wanted.name).object()
        if streamed and not request.upgrade:
            raise errors.BadRequest("Upgrade request required")
        await self._proxy.forward(request, wanted, target.pairs, pod, connection)

    async def _answer(
        self, found: Row | Found | dict[str, Any], wanted: Request, accept: str,
        connection: Connection,
    ) -> None:  # fmt: skip
        status = 201 if wanted.verb == "create" else 200
        headers = JSON + warnings.headers()
        if isinstance(found, dict):
            if found.get("kind") == "Status":
                status = int(found.get("code", 200))
            connection.respond(status, headers, orjson.dumps(found))
            return
        kind = self._service.kind(wanted)
        form = tables.form_of(accept)
        if form and isinstance(found, Row):
            body = tables.one(form, kind, found, wanted.options, self._clock.time())
            connection.respond(status, headers, body)
        elif isinstance(found, Row):
            connection.respond(status, headers, self._service.render(kind, found))
        else:
            pieces = await self._list_in_pieces(form, kind, found, wanted)
            await self._send(connection, status, headers, pieces)

    async def _list_in_pieces(
        self, form: str, kind: Kind, found: Found, wanted: Request
    ) -> list[bytes]:
        """A list's encoded rows, some in a piece; the loop serves others after each."""
        head = self._service.list_head(kind, found)
        include, time = tables.include_of(wanted.options) if form else "", self._clock.time()
        opening = tables.opening(form, kind, head) if form else LISTED % orjson.dumps(head)[:-1]
        pieces = [opening]
        for start in range(0, len(found.rows), SLICE):
            if start:
                await self._clock.sleep(0)
            rows = found.rows[start : start + SLICE]
            encoded = (
                tables.parts(form, kind, rows, include, time)
                if form
                else [self._service.render(kind, row) for row in rows]
            )
            pieces.append((b"," if start else b"") + b",".join(encoded))
        return [*pieces, b"]}"]

    async def _send(
        self, connection: Connection, status: int, headers: bytes, pieces: list[bytes]
    ) -> None:
        """A body that is large goes out as the client takes it."""
        size = sum(map(len, pieces))
        if size <= LARGE:
            connection.respond(status, headers, b"".join(pieces))
            return
        connection.begin(status, headers, size)
        for piece in pieces:
            connection.write(piece)
            await connection.drain()
            await self._clock.sleep(0)
        connection.end()

    def _fail(self, connection: Connection, error: errors.ApiError) -> None:
        headers = JSON
        if error.retry_after is not None:
            headers += b"Retry-After: %d\r\n" % error.retry_after
        connection.respond(error.http_code, headers, orjson.dumps(error.status()))
