"""Keeps the EndpointSlices and Endpoints of Services as their pods are.

A Service without a selector has Endpoints that somebody else writes: those are mirrored to slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers import slices
from dockyard.cluster.controllers.common import Context, is_alive
from dockyard.cluster.controllers.slices import MANAGED_BY, MANAGER, MIRROR, SERVICE_NAME
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

AGAIN_SECONDS = 1.0
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"


class EndpointsController:
    """The controller of both kinds; they come from the same look at the pods."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._services = context.informers.of(SERVICES)
        self._pods = context.informers.of(PODS)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._services.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._pods.add_handler(self._pod_changed)
        self._slices.add_handler(self._slice_changed)
        self._endpoints.add_handler(self._endpoints_changed)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        for pod in (before, after):
            if pod is None:
                continue
            labels = (pod["metadata"].get("labels") or {}).items()
            for service in self._services.in_namespace(pod["metadata"]["namespace"]):
                selector = service["spec"].get("selector")
                if selector and selector.items() <= labels:
                    self._queue.add(key_of(service))

    def _slice_changed(self, before: Object | None, after: Object | None) -> None:
        """Somebody has taken away or changed what is ours."""
        if before is not None and _label(before, MANAGED_BY) in (MANAGER, MIRROR):
            self._queue.add(f"{before['metadata']['namespace']}/{_label(before, SERVICE_NAME)}")

    def _endpoints_changed(self, before: Object | None, after: Object | None) -> None:
        found = after or before
        assert found is not None
        if self._services.get(key_of(found)) is not None:
            self._queue.add(key_of(found))

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("endpoints", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        service, found = self._services.get(key), self._endpoints.get(key)
        if service is None:
            await self._keep([], namespace, name, (MANAGER, MIRROR))
            if found is not None:
                await self._remove(ENDPOINTS, name, namespace)
        elif service["spec"].get("type") == "ExternalName":
            await self._keep([], namespace, name, (MANAGER, MIRROR))
        elif service["spec"].get("selector"):
            pods = sorted(self._selected(service), key=key_of)
            await self._keep(slices.slices_of(service, pods), namespace, name, (MANAGER, MIRROR))
            await self._store(ENDPOINTS, slices.endpoints_of(service, pods), found)
        else:
            mirror = found is not None and _label(found, SKIP_MIRROR) != "true"
            wanted = slices.mirrored(service, found) if mirror and found is not None else []
            await self._keep(wanted, namespace, name, (MIRROR,))

    async def _keep(
        self, wanted: Sequence[Object], namespace: str, service: str, managers: tuple[str, ...]
    ) -> None:
        """These slices, and no others of ours."""
        known = {
            each["metadata"]["name"]: each
            for each in self._slices.in_namespace(namespace)
            if _label(each, SERVICE_NAME) == service and _label(each, MANAGED_BY) in managers
        }
        for each in wanted:
            name = each["metadata"]["name"]
            before = known.pop(name, None)
            if before is not None and before["addressType"] != each["addressType"]:
                await self._remove(ENDPOINT_SLICES, name, namespace)  # that is immutable
                before = None
            await self._store(ENDPOINT_SLICES, each, before)
        for stale in known:
            await self._remove(ENDPOINT_SLICES, stale, namespace)

    def _selected(self, service: Object) -> Iterator[Object]:
        selector = service["spec"]["selector"].items()
        for pod in self._pods.in_namespace(service["metadata"]["namespace"]):
            labels = (pod["metadata"].get("labels") or {}).items()
            if selector <= labels and pod.get("status", {}).get("podIP") and is_alive(pod):
                yield pod

    async def _store(self, resource: Resource, wanted: Object, known: Object | None) -> None:
        if known is None:
            try:
                await self._context.client.create(resource, wanted)
            except AlreadyExists:  # our copy is late, or the name is somebody else's
                metadata = wanted["metadata"]
                name = _label(wanted, SERVICE_NAME) or metadata["name"]
                self._queue.add_after(f"{metadata['namespace']}/{name}", AGAIN_SECONDS)
            return
        fresh = copy_of(known)
        for part in ("endpoints", "ports", "subsets"):
            fresh.pop(part, None)
            if part in wanted:
                fresh[part] = wanted[part]
        annotations = {name: value for name, value in
                       (known["metadata"].get("annotations") or {}).items()
                       if name != slices.OVER_CAPACITY}  # fmt: skip
        annotations |= wanted["metadata"].get("annotations") or {}
        for part, value in (("labels", wanted["metadata"].get("labels")),
                            ("annotations", annotations)):  # fmt: skip
            fresh["metadata"].pop(part, None)
            if value:
                fresh["metadata"][part] = value
        if fresh != known:
            await self._context.client.update(resource, fresh)

    async def _remove(self, resource: Resource, name: str, namespace: str) -> None:
        try:
            await self._context.client.delete(resource, name, namespace)
        except NotFound:
            return


def _label(obj: Object, name: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(name, ""))
