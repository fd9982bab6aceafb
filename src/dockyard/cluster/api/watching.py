"""Turns a watch into a stream of JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson

from dockyard.base.aio.clock import Clock
from dockyard.base.wire.http import Connection
from dockyard.cluster.api import tables
from dockyard.cluster.api.cache import Watcher
from dockyard.cluster.api.options import ListOptions
from dockyard.cluster.api.service import Service
from dockyard.cluster.kinds.kind import Kind

BOOKMARK_SECONDS = 50.0
SLICE = 200
LONGEST_SECONDS = 3600.0
"""A watch that names no timeout ends after this; its client goes on where it was."""


async def stream(
    service: Service,
    kind: Kind,
    watcher: Watcher,
    options: ListOptions,
    connection: Connection,
    accept: str,
    query: Mapping[str, str],
    clock: Clock,
) -> None:
    """Write events until the client leaves, its time is over, or it is too slow."""
    form = tables.form_of(accept)
    if form:
        tables.include_of(query)
    connection.begin(200, b"Content-Type: application/json\r\n")
    bookmarks = asyncio.create_task(
        _bookmarks(service, kind, connection, clock)
        if options.bookmarks and not form
        else _nothing()
    )
    count = 0
    watcher.cut_off = connection.transport.abort
    try:
        async with clock.timeout(min(options.timeout or LONGEST_SECONDS, LONGEST_SECONDS)):
            async for event, row in watcher:
                if form:
                    body = tables.one(form, kind, row, query, clock.time(), definitions=not count)
                else:
                    body = service.render(kind, row)
                connection.write(line(event, body))
                await connection.drain()
                count += 1
                if count % SLICE == 0:  # many that were there already: others have their turn
                    await clock.sleep(0)
    except TimeoutError:
        pass
    finally:
        bookmarks.cancel()
    connection.end()


def line(event: str, body: bytes) -> bytes:
    """One event."""
    return b'{"type":"%s","object":%s}\n' % (event.encode(), body)


async def _bookmarks(service: Service, kind: Kind, connection: Connection, clock: Clock) -> None:
    while True:
        await clock.sleep(BOOKMARK_SECONDS)
        revision = str(service.operations.caches.revision)
        obj = {"kind": kind.kind, "apiVersion": kind.api_version,
               "metadata": {"resourceVersion": revision, "creationTimestamp": None}}  # fmt: skip
        connection.write(line("BOOKMARK", orjson.dumps(obj)))


async def _nothing() -> None:
    return None
