"""Turns one request into what a route's handler works with, and the handler's answer into bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import orjson

from dockyard.base.aio.tasks import in_thread
from dockyard.base.oci.digest import Digest
from dockyard.base.wire.http import Connection, Request
from dockyard.base.wire.sendfile import send_file
from dockyard.node.image.registry.server.access import Identity
from dockyard.node.image.registry.server.names import Repository, parse_name
from dockyard.node.image.registry.server.refusal import JSON, Refusal

if TYPE_CHECKING:
    from dockyard.node.image.registry.server.registry import Registry

P = ParamSpec("P")
T = TypeVar("T")
ALWAYS = b"Docker-Distribution-Api-Version: registry/2.0\r\nX-Content-Type-Options: nosniff\r\n"
MOST_PARAMETERS = 200
FOREVER = 365 * 24 * 3600


class Call:
    """One request that is being answered."""

    __slots__ = ("argument", "connection", "identity", "name", "query", "registry", "request",
                 "status")  # fmt: skip

    def __init__(
        self, registry: Registry, request: Request, connection: Connection, name: str,
        argument: str, query: str,
    ) -> None:  # fmt: skip
        """``name`` and ``argument``: what stands in the path at their places."""
        self.registry, self.request, self.connection = registry, request, connection
        self.name: Repository = parse_name(name) if name else Repository("")
        self.argument = argument
        self.query = parse_query(query)
        self.identity: Identity
        self.status = 0

    def one(self, key: str) -> str | None:
        """The first value of a parameter."""
        found = self.query.get(key)
        return found[0] if found else None

    def header(self, name: bytes) -> str:
        return self.request.header(name)

    async def work(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what blocks, in a thread."""
        return await in_thread(self.registry.clock, act, *args, **kwargs)

    def respond(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        self.status = status
        answer(self.connection, status, ALWAYS + headers, body)

    def json(self, value: object, headers: bytes = b"", kind: bytes = JSON) -> None:
        self.respond(200, kind + headers, orjson.dumps(value))

    async def file(self, status: int, headers: bytes, file: int, start: int, size: int) -> None:
        """Answer with a part of a file."""
        self.status = status
        await send_file(
            self.connection, self.registry.clock, status, ALWAYS + headers, file, start, size
        )


async def opened(work: Awaitable[tuple[int, int]]) -> tuple[int, int]:
    """A descriptor and a size, from a thread. Should who asked leave meanwhile, it is closed."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_close)
        raise


def _close(task: asyncio.Future[tuple[int, int]]) -> None:
    if not task.cancelled() and task.exception() is None:
        os.close(task.result()[0])


def answer(connection: Connection, status: int, headers: bytes, body: bytes) -> None:
    """A whole answer; 204 and 304 have no length (RFC 9110, 8.6)."""
    if status in (204, 304):
        connection.begin(status, headers)
        connection.end()
    else:
        connection.respond(status, headers, body)


def parse_query(text: str) -> dict[str, list[str]]:
    """The parameters behind the question mark."""
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise Refusal("UNSUPPORTED", "too many parameters", status=414) from error
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def line(name: str, value: object) -> bytes:
    """A header line of checked text."""
    return f"{name}: {value}\r\n".encode()


def about_blob(digest: Digest) -> bytes:
    """The headers of a blob: its bytes never change."""
    return (
        b"Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"
        + line("Docker-Content-Digest", digest)
        + line("Etag", f'"{digest}"')
        + line("Cache-Control", f"max-age={FOREVER}")
    )
