"""Turns Kubernetes verbs into requests: the client that components of ours are handed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from dockyard.cluster.client.transport import (
    JSON_PATCH,
    MERGE_PATCH,
    Object,
    Request,
    Resource,
    Transport,
    WatchEvent,
)

PAGE = 500


class Client:
    """Typed by resource: ``await client.get(PODS, "web-0", "shop")``."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object."""
        return await self.transport.call(Request("get", resource, namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", **options: str
    ) -> tuple[list[Object], str]:
        """Every object and the list's resourceVersion, page by page."""
        found: list[Object] = []
        options = {"limit": str(PAGE), **options}
        while True:
            page = await self.transport.call(Request("list", resource, namespace, options=options))
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found, str(page["metadata"].get("resourceVersion", ""))
            options = {**options, "continue": token}

    def watch(
        self, resource: Resource, namespace: str = "", **options: str
    ) -> AsyncIterator[WatchEvent]:
        """Changes from ``resourceVersion`` on."""
        return self.transport.watch(Request("watch", resource, namespace, options=options))

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", subresource: str = ""
    ) -> Object:
        """A new object; its namespace is the one given, or its own."""
        metadata = obj.get("metadata", {})
        where = namespace or metadata.get("namespace", "")
        name = metadata.get("name", "") if subresource else ""
        return await self.transport.call(
            Request("create", resource, where, name, subresource, body=obj)
        )

    async def update(self, resource: Resource, obj: Object, subresource: str = "") -> Object:
        """Another version of an object; Conflict if it has changed meanwhile."""
        metadata = obj["metadata"]
        return await self.transport.call(
            Request("update", resource, metadata.get("namespace", ""), metadata["name"],
                    subresource, body=obj)
        )  # fmt: skip

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        """Another status."""
        return await self.update(resource, obj, "status")

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        subresource: str = "",
    ) -> Object:
        """A change: a list is a JSON patch, an object a merge patch."""
        kind = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        return await self.transport.call(
            Request("patch", resource, namespace, name, subresource, patch, kind)
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace: int | None = None,
        propagation: str = "",
    ) -> None:
        """Remove an object; with ``uid`` only that very one."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if propagation:
            body["propagationPolicy"] = propagation
        await self.transport.call(Request("delete", resource, namespace, name, body=body))


def key_of(obj: Mapping[str, Any]) -> str:
    """``namespace/name``, or the name of what has no namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def copy_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """An object of one's own, that may be changed."""
    found: dict[str, Any] = json.loads(json.dumps(obj))
    return found
