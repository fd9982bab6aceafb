"""A Transport without a server: dicts by key, revisions, watches; enough for clients of the API."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

from dockyard.base.aio.queues import Channel
from dockyard.cluster.client.transport import (
    JSON_PATCH,
    STRATEGIC_PATCH,
    Object,
    Request,
    Resource,
    WatchEvent,
)
from dockyard.cluster.kinds.registry import registry
from dockyard.cluster.meta import errors, jsonpatch, mergepatch, strategicpatch
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.meta.patchschema import PatchSchema

Key = tuple[Resource, str, str]


class MemoryApi:
    """Stores what it is told; ``calls`` has every request that changed something."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.calls: list[Request] = []
        self.refuse: Callable[[Request], errors.ApiError | None] = lambda request: None
        self._revision = itertools.count(1)
        self._last = 0
        self._watches: list[tuple[Resource, Channel[WatchEvent]]] = []

    # for tests

    def put(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Create or replace, as some other client would."""
        metadata = obj["metadata"]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        event = "MODIFIED" if key in self.objects else "ADDED"
        return self._store(key, copied(obj), event)

    def remove(self, resource: Resource, name: str, namespace: str = "") -> None:
        found = self.objects.pop((resource, namespace, name))
        self._tell(resource, "DELETED", {**found, "metadata": self._stamped(found)})

    def at(self, resource: Resource, name: str, namespace: str = "") -> dict[str, Any]:
        return self.objects[resource, namespace, name]

    def all(self, resource: Resource) -> list[dict[str, Any]]:
        return [obj for key, obj in self.objects.items() if key[0] == resource]

    # the transport

    async def call(self, request: Request) -> Object:
        key = (request.resource, request.namespace, request.name)
        if request.verb == "list":
            items = self.all(request.resource)
            return {"items": items, "metadata": {"resourceVersion": str(self._last)}}
        if request.verb != "get":
            self.calls.append(request)
            if (refusal := self.refuse(request)) is not None:
                raise refusal
        if request.verb == "create" and request.subresource != "binding":
            metadata = request.body["metadata"]
            key = (request.resource, request.namespace, metadata["name"])
            if key in self.objects:
                raise errors.already_exists(request.resource.plural, metadata["name"])
            return self._store(key, copied(request.body), "ADDED")
        found = self.objects.get(key)
        if found is None:
            raise errors.not_found(request.resource.plural, request.name, request.resource.group)
        if request.verb == "get":
            return found
        if request.verb == "create":
            bound = {**found, "spec": {**found["spec"], "nodeName": request.body["target"]["name"]}}
            return self._store(key, bound, "MODIFIED")
        if request.verb == "delete":
            self.remove(request.resource, request.name, request.namespace)
            return found
        body = request.body if request.verb == "update" else self._patched(request, found)
        return self._store(key, copied(body), "MODIFIED")

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        channel: Channel[WatchEvent] = Channel()
        entry = (request.resource, channel)
        since = int(request.options["resourceVersion"])
        for key, obj in self.objects.items():
            if key[0] == request.resource and int(obj["metadata"]["resourceVersion"]) > since:
                channel.put(WatchEvent("MODIFIED", obj))
        self._watches.append(entry)
        try:
            async for event in channel:
                yield event
        finally:
            self._watches.remove(entry)

    async def close(self) -> None:
        for _, channel in self._watches:
            channel.close()

    # parts

    def _patched(self, request: Request, found: dict[str, Any]) -> Any:
        if request.patch_type == JSON_PATCH:
            return jsonpatch.apply(found, request.body)
        if request.patch_type == STRATEGIC_PATCH:
            kind = registry().resource(*request.resource)
            assert kind is not None
            schema = PatchSchema.of(registry().schemas, kind.definition)
            return strategicpatch.apply(found, request.body, schema)
        return mergepatch.apply(found, request.body)

    def _stamped(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._last = next(self._revision)
        return {**obj["metadata"], "resourceVersion": str(self._last)}

    def _store(self, key: Key, obj: dict[str, Any], event: str) -> dict[str, Any]:
        stored = {**obj, "metadata": self._stamped(obj)}
        self.objects[key] = stored
        self._tell(key[0], event, stored)
        return stored

    def _tell(self, resource: Resource, event: str, obj: dict[str, Any]) -> None:
        for wanted, channel in self._watches:
            if wanted == resource and not channel.closed:
                channel.put(WatchEvent(event, obj))
