"""Turns the client's seam into calls of the API in this process, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from dockyard.cluster.api.operations import Found
from dockyard.cluster.api.rows import Row
from dockyard.cluster.api.service import Service
from dockyard.cluster.client.transport import Object, Request, User, WatchEvent


class LocalTransport:
    """The API as one user sees it, with the same authorization, admission and validation."""

    def __init__(self, service: Service, user: User) -> None:
        self._service, self._user = service, user

    async def call(self, request: Request) -> Object:
        found = await self._service.call(_own(request), self._user)
        if isinstance(found, Row):
            kind = self._service.kind(request)
            if found.kind.api_version == kind.api_version:
                return found.object()
            decoded: dict[str, Any] = orjson.loads(self._service.render(kind, found))
            return decoded
        if isinstance(found, Found):
            kind = self._service.kind(request)
            same = all(row.kind.api_version == kind.api_version for row in found.rows)
            if same:
                items = [row.object() for row in found.rows]
                return {**self._service.list_head(kind, found), "items": items}
            return self._service.render_list(kind, found)
        return found

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        kind, watcher, _ = self._service.watch(request, self._user)
        cache = self._service.operations.cache(kind)
        try:
            async for event, row in watcher:
                same = row.kind.api_version == kind.api_version
                obj = row.object() if same else orjson.loads(self._service.render(kind, row))
                yield WatchEvent(event, obj)
        finally:
            cache.unwatch(watcher)

    async def close(self) -> None:
        """Nothing to let go of."""


def _own(request: Request) -> Request:
    """The request with a body of its own: operations fill in what they are given."""
    if request.body is None:
        return request
    from dataclasses import replace

    return replace(request, body=orjson.loads(orjson.dumps(request.body)))
