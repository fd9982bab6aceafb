"""Turns a namespace that is being deleted into nothing: all that is in it goes first."""

from __future__ import annotations

from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import NAMESPACES
from dockyard.cluster.client.transport import Object, Request, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta.errors import MethodNotAllowed, NotFound

AGAIN_SECONDS = 0.5


class Namespaces:
    """The controller. ``resources`` are all that live in namespaces."""

    def __init__(self, context: Context, resources: tuple[Resource, ...]) -> None:
        self._context, self._resources = context, resources
        self._queue = WorkQueue(context.clock)
        self._namespaces = context.informers.of(NAMESPACES)
        self._namespaces.add_handler(self._changed)

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if after is not None and "deletionTimestamp" in after["metadata"]:
            self._queue.add(key_of(after))

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("namespace", self._queue, self._sync, workers=2)

    async def _sync(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return
        left = 0
        for resource in self._resources:
            left += await self._empty(resource, name)
        if left:
            self._queue.add_after(name, AGAIN_SECONDS)
            return
        fresh = copy_of(namespace)
        finalizers = (fresh.get("spec") or {}).get("finalizers") or []
        fresh.setdefault("spec", {})["finalizers"] = [f for f in finalizers if f != "kubernetes"]
        try:
            await self._context.client.update(NAMESPACES, fresh, "finalize")
        except NotFound:
            return

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Delete what there is of one resource: how much is still there."""
        items, _ = await self._context.client.list(resource, namespace)
        if not items:
            return 0
        try:
            await self._context.client.transport.call(
                Request("deletecollection", resource, namespace)
            )
        except MethodNotAllowed:
            for item in items:
                await self._context.client.delete(resource, item["metadata"]["name"], namespace)
        items, _ = await self._context.client.list(resource, namespace)
        return len(items)
