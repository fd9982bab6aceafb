"""Turns a namespace that is being deleted into nothing: all that is in it goes first.

Pods go before everything else, so that no policy is gone while they still run (CVE-2024-7598). What
keeps a namespace is in its conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import NAMESPACES, PODS
from dockyard.cluster.client.transport import Object, Request, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context, with_condition
from dockyard.cluster.meta.errors import Conflict, MethodNotAllowed, NotFound

AGAIN_SECONDS = 0.5
FINALIZER = "kubernetes"


class Left(NamedTuple):
    """What is still in a namespace."""

    resources: Mapping[str, int] = {}
    """``pods.`` -> how many."""
    finalizers: Mapping[str, int] = {}
    """A finalizer -> how many objects have it."""
    failures: tuple[str, ...] = ()


class Namespaces:
    """The controller. ``resources`` are all that live in namespaces."""

    def __init__(self, context: Context, resources: tuple[Resource, ...]) -> None:
        self._context = context
        self._resources = tuple(each for each in resources if each != PODS)
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
        if FINALIZER not in (namespace.get("spec") or {}).get("finalizers", ()):
            return  # our part is done; somebody else's finalizer keeps it
        left = await self._empty((PODS,), name)
        if not left.resources and not left.failures:
            left = await self._empty(self._resources, name)
        namespace = await self._report(namespace, left)
        if left.resources or left.failures:
            self._queue.add_after(name, AGAIN_SECONDS)
            return
        fresh = copy_of(namespace)
        finalizers = fresh["spec"]["finalizers"]
        fresh["spec"]["finalizers"] = [each for each in finalizers if each != FINALIZER]
        try:
            await self._context.client.update(NAMESPACES, fresh, "finalize")
        except NotFound:
            return

    async def _empty(self, resources: tuple[Resource, ...], namespace: str) -> Left:
        """Delete what there is. One resource's failure does not keep the others."""
        counts: dict[str, int] = {}
        finalizers: Counter[str] = Counter()
        failures = []
        for resource in resources:
            try:
                items = await self._remove(resource, namespace)
            except DockyardError as error:
                failures.append(str(error))
                continue
            if items:
                counts[f"{resource.plural}.{resource.group}"] = len(items)
                for item in items:
                    finalizers.update(item["metadata"].get("finalizers") or ())
        return Left(counts, finalizers, tuple(failures))

    async def _remove(self, resource: Resource, namespace: str) -> list[Object]:
        """What is there after everything was asked to go."""
        items, _ = await self._context.client.list(resource, namespace)
        if not items:
            return []
        try:
            await self._context.client.transport.call(
                Request("deletecollection", resource, namespace)
            )
        except MethodNotAllowed:
            for item in items:
                await self._context.client.delete(resource, item["metadata"]["name"], namespace)
        return (await self._context.client.list(resource, namespace))[0]

    async def _report(self, namespace: Object, left: Left) -> Object:
        status = copy_of(namespace.get("status", {}))
        for kind, value, reason, message in conditions(left):
            with_condition(status, kind, value, reason, message, self._context.stamp())
            for each in status["conditions"]:
                each.pop("lastUpdateTime", None)
        if status == namespace.get("status", {}):
            return namespace
        fresh: dict[str, Any] = {**copy_of(namespace), "status": status}
        try:
            return await self._context.client.update_status(NAMESPACES, fresh)
        except Conflict:
            self._queue.add(key_of(namespace))
            return namespace


def conditions(left: Left) -> list[tuple[str, str, str, str]]:
    """(type, status, reason, message), in the words of kubernetes' namespace controller. Pure."""
    remaining = ", ".join(f"{name} has {count} resource instances"
                          for name, count in sorted(left.resources.items()))  # fmt: skip
    waiting = ", ".join(f"{name} in {count} resource instances"
                        for name, count in sorted(left.finalizers.items()))  # fmt: skip
    failed = "; ".join(left.failures)
    return [
        ("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
         "All resources successfully discovered"),
        ("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions",
         "All legacy kube types successfully parsed"),
        ("NamespaceDeletionContentFailure", "True", "ContentDeletionFailed",
         f"Failed to delete all resource types, {len(left.failures)} remaining: {failed}")
        if left.failures else
        ("NamespaceDeletionContentFailure", "False", "ContentDeleted",
         "All content successfully deleted, may be waiting on finalization"),
        ("NamespaceContentRemaining", "True", "SomeResourcesRemain",
         f"Some resources are remaining: {remaining}")
        if remaining else
        ("NamespaceContentRemaining", "False", "ContentRemoved",
         "All content successfully removed"),
        ("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain",
         f"Some content in the namespace has finalizers remaining: {waiting}")
        if waiting else
        ("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers",
         "All content-preserving finalizers finished"),
    ]  # fmt: skip
