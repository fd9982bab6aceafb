"""Turns requests into answers: the route, who asks, whether they may, the handler, the error.

A path is decoded once, before it is routed and before anything is allowed by it (C10).
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable
from urllib.parse import unquote_to_bytes

from dockyard.base.errors import DockyardError, Unavailable
from dockyard.base.oci.manifest import LARGEST
from dockyard.base.wire.http import Connection, Request
from dockyard.node.image.registry.server.access import Identity
from dockyard.node.image.registry.server.call import Call, answer
from dockyard.node.image.registry.server.refusal import JSON, Refusal, unheard
from dockyard.node.image.registry.server.registry import Registry
from dockyard.node.image.registry.server.routes import table

log = logging.getLogger("dockyard.registry")
access = logging.getLogger("dockyard.registry.access")
MOST_CONNECTIONS = 8192
LONGEST_TOLD = 500
"""Characters of a path in the log."""
MOST_OF_ONE = 1024
"""Connections of one address."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_READS = ("GET", "HEAD")


class Front:
    """Makes a connection for each client, and answers on it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._open: dict[Connection, str] = {}
        self._by_address: dict[str, int] = {}
        registry.metrics.gauge("connections", "Open connections.", lambda: len(self._open))

    def connection(self) -> Connection:
        return Connection(
            self._handle, self._registry.clock, LARGEST, self._register, unheard, _is_upload
        )

    def close(self) -> None:
        """Finish what is being answered, and take nothing more."""
        for connection in list(self._open):
            connection.close_soon()

    @property
    def busy(self) -> bool:
        """Whether a client is still connected."""
        return bool(self._open)

    def abort(self) -> None:
        """End all at once."""
        for connection in list(self._open):
            connection.transport.abort()

    def _register(self, connection: Connection, begins: bool) -> None:
        if not begins:
            address = self._open.pop(connection, "")
            left = self._by_address.get(address, 1) - 1
            if left > 0:
                self._by_address[address] = left
            else:
                self._by_address.pop(address, None)
            return
        peer = connection.transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._open[connection] = address
        self._by_address[address] = number = self._by_address.get(address, 0) + 1
        if number > MOST_OF_ONE or len(self._open) > MOST_CONNECTIONS:
            connection.transport.abort()

    def _handle(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        registry = self._registry
        if request.method in _READS:
            kept = registry.memory.get(request.target)
            if kept is not None:
                identity = registry.auth.at_once(request, connection)
                if identity is not None and (registry.auth.open or identity.may("pull", kept.name)):
                    registry.metrics.hits += 1
                    known = request.header(b"if-none-match") == kept.etag
                    status = 304 if known else 200
                    answer(connection, status, kept.headers, kept.body)
                    if registry.rules.log:
                        self._tell(request, connection, identity, status, 0.0)
                    return None
        return self._serve(request, connection)

    async def _serve(self, request: Request, connection: Connection) -> None:
        registry = self._registry
        began = registry.clock.monotonic()
        kind, status = "none", 0
        call: Call | None = None
        try:
            path, query = _path(request.target)
            found = table.find(path)
            if found is None:
                raise Refusal("UNSUPPORTED", "no such path in this API", status=404)
            route, name, argument = found
            kind = route.kind
            if request.method not in route.methods:
                raise Refusal("UNSUPPORTED", headers=_allow(route))
            needs, handler = route.methods[request.method]
            call = Call(registry, request, connection, name, argument, query)
            if kind != "token":
                call.identity = await registry.auth.identity(request, connection)
                self._check(call, needs)
            if registry.through is not None and needs in ("push", "delete"):
                raise Refusal("UNSUPPORTED", "this registry is a cache; push to its origin")
            await handler(call)
            status = call.status
        except Refusal as refusal:
            status = refusal.status
            connection.respond(status, JSON + refusal.headers, refusal.body())
        except (ConnectionError, TimeoutError) as error:
            log.debug("%s %s: %s", request.method, kind, error)
            if call is not None and call.status:  # half an answer: nothing can follow it
                connection.transport.abort()
        except asyncio.CancelledError:
            status = 499  # the client has gone, as nginx counts it
            raise
        except DockyardError as error:
            told = Refusal(
                "UNAVAILABLE" if isinstance(error, Unavailable) else "UNKNOWN", str(error)
            )
            status = told.status
            connection.respond(status, JSON, told.body())
        except Exception as error:
            if call is not None and call.status:  # in the middle of an answer
                log.error("%s %.300s broke off", request.method, request.target, exc_info=error)
                connection.transport.abort()
            else:
                status = self._failed(request, connection, error)
        finally:
            seconds = registry.clock.monotonic() - began
            method = request.method if request.method in _KNOWN else "other"
            registry.metrics.answered(kind, method, status, seconds)
            if registry.rules.log:
                identity = getattr(call, "identity", None)
                self._tell(request, connection, identity, status, seconds)

    def _tell(
        self, request: Request, connection: Connection, identity: Identity | None, status: int,
        seconds: float,
    ) -> None:  # fmt: skip
        """A line for one request: address, user, what, status (0: broken off), seconds."""
        user = "-" if identity is None or identity.user is None else identity.user
        target = ascii(request.target[:LONGEST_TOLD])[2:-1]
        access.info("%s %s %s %s %d %.3f", self._open.get(connection, "-"), ascii(user)[1:-1],
                    request.method, target, status, seconds)  # fmt: skip

    def _check(self, call: Call, needs: str) -> None:
        auth, identity = self._registry.auth, call.identity
        if auth.open or not needs:
            return
        if needs == "in":
            if identity.user is None and not identity.token:
                raise auth.challenge(call.request)
        elif needs == "list":
            if not _may_list(identity):
                raise auth.refuse(call.request, identity, "registry:catalog:*")
        elif not identity.may(needs, call.name):
            actions = "pull,push" if needs == "push" else needs
            raise auth.refuse(call.request, identity, f"repository:{call.name}:{actions}")

    def _failed(self, request: Request, connection: Connection, error: Exception) -> int:
        """What is nobody's mistake but ours, or the disk's: it is logged once, and told plainly."""
        if isinstance(error, OSError) and error.errno in _FULL:
            log.error("the disk is full: %s", error)
            refusal = Refusal("UNKNOWN", "the registry's disk is full", status=507)
        else:
            log.error("%s %.300s failed", request.method, request.target, exc_info=error)
            refusal = Refusal("UNKNOWN", "the registry could not do this; its log has the reason")
        connection.respond(refusal.status, JSON, refusal.body())
        return refusal.status


_KNOWN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def _may_list(identity: Identity) -> bool:
    if identity.access is not None:
        return identity.user is not None
    return identity.may_list


def _allow(route: table.Route) -> bytes:
    return f"Allow: {', '.join(route.methods)}\r\n".encode()


def _path(target: bytes) -> tuple[str, str]:
    """The decoded path and the query of a request's target."""
    path, _, query = target.partition(b"?")
    try:
        text = unquote_to_bytes(path).decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if not text.startswith("/") or not text.isprintable():
        raise Refusal("NAME_INVALID", "the path is not of this API")
    return text, query.decode("latin-1")


def _is_upload(request: Request) -> bool:
    """A body that may be large: it is read as it comes."""
    return request.method in ("POST", "PUT", "PATCH") and b"/blobs/uploads" in request.target
