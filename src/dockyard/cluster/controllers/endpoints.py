"""Turns Services and the pods that they select into EndpointSlices and Endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from dockyard.cluster.client.transport import Object, Resource
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context, is_ready, reference_to
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
LARGEST = 1000
"""Endpoints of one slice."""


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

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        for pod in (before, after):
            if pod is None:
                continue
            labels = (pod["metadata"].get("labels") or {}).items()
            for service in self._services.in_namespace(pod["metadata"]["namespace"]):
                selector = service["spec"].get("selector")
                if selector and selector.items() <= labels:
                    self._queue.add(key_of(service))

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("endpoints", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        service = self._services.get(key)
        ours = [
            each
            for each in self._slices.in_namespace(namespace)
            if _label(each, SERVICE_NAME) == name and _label(each, MANAGED_BY) == MANAGER
        ]
        if service is None:
            for each in ours:
                await self._remove(ENDPOINT_SLICES, each["metadata"]["name"], namespace)
            if self._endpoints.get(key) is not None:
                await self._remove(ENDPOINTS, name, namespace)
            return
        if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            return
        pods = sorted(self._selected(service), key=key_of)
        wanted = [slice_of(service, part, index) for index, part in enumerate(_parts(pods))]
        known = {each["metadata"]["name"]: each for each in ours}
        for each in wanted:
            await self._store(ENDPOINT_SLICES, each, known.pop(each["metadata"]["name"], None))
        for stale in known:
            await self._remove(ENDPOINT_SLICES, stale, namespace)
        await self._store(ENDPOINTS, endpoints_of(service, pods), self._endpoints.get(key))

    def _selected(self, service: Object) -> Iterator[Object]:
        selector = service["spec"]["selector"].items()
        for pod in self._pods.in_namespace(service["metadata"]["namespace"]):
            status = pod.get("status", {})
            if (
                selector <= (pod["metadata"].get("labels") or {}).items()
                and status.get("podIP")
                and status.get("phase") not in ("Succeeded", "Failed")
            ):
                yield pod

    async def _store(self, resource: Resource, wanted: Object, known: Object | None) -> None:
        if known is None:
            try:
                await self._context.client.create(resource, wanted)
            except AlreadyExists:
                self._queue.add_after(key_of(wanted), 0.1)
            return
        content = ("addressType", "endpoints", "ports", "subsets")
        if all(known.get(part) == wanted.get(part) for part in content):
            return
        fresh = copy_of(known)
        for part in content:
            fresh.pop(part, None)
            if part in wanted:
                fresh[part] = wanted[part]
        await self._context.client.update(resource, fresh)

    async def _remove(self, resource: Resource, name: str, namespace: str) -> None:
        try:
            await self._context.client.delete(resource, name, namespace)
        except NotFound:
            return


def _label(obj: Object, name: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(name, ""))


def _parts(pods: list[Object]) -> list[list[Object]]:
    return [pods[i : i + LARGEST] for i in range(0, len(pods), LARGEST)] or [[]]


def slice_of(service: Object, pods: list[Object], index: int) -> dict[str, Any]:
    """One EndpointSlice. Its ports are those of the first pod: names may mean others elsewhere."""
    metadata = service["metadata"]
    labels = {SERVICE_NAME: metadata["name"], MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"{metadata['name']}-{metadata['uid'][:5]}{index or ''}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [reference_to(service, "Service", "v1")],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(service, pod) for pod in pods],
        "ports": list(_ports(service, pods)),
    }


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    spec, terminating = pod["spec"], "deletionTimestamp" in pod["metadata"]
    serving = is_ready(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    found: dict[str, Any] = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": always or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": _target(pod),
        "nodeName": spec.get("nodeName", ""),
    }
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        found["hostname"] = spec["hostname"]
    return found


def _target(pod: Object) -> dict[str, str]:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"],
            "uid": metadata["uid"]}  # fmt: skip


def _ports(service: Object, pods: list[Object]) -> Iterator[dict[str, Any]]:
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pods)
        if number is None:
            continue
        yield {"name": port.get("name", ""), "port": number,
               "protocol": port.get("protocol", "TCP")}  # fmt: skip


def target_port(port: Object, pods: list[Object]) -> int | None:
    """The number that a Service's port means on its pods; None where no pod has that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"].get("containers", ()):
            for found in container.get("ports") or ():
                same = found.get("protocol", "TCP") == port.get("protocol", "TCP")
                if found.get("name") == target and same:
                    return int(found["containerPort"])
    return None


def endpoints_of(service: Object, pods: list[Object]) -> dict[str, Any]:
    """The older form of the same."""
    metadata = service["metadata"]
    ready, not_ready = [], []
    for pod in pods:
        endpoint = _endpoint(service, pod)
        address = {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName", ""),
                   "targetRef": _target(pod)}  # fmt: skip
        if "hostname" in endpoint:
            address["hostname"] = endpoint["hostname"]
        if endpoint["conditions"]["ready"]:
            ready.append(address)
        elif not endpoint["conditions"]["terminating"]:
            not_ready.append(address)
    subset: dict[str, Any] = {}
    if ready:
        subset["addresses"] = ready
    if not_ready:
        subset["notReadyAddresses"] = not_ready
    ports = [{k: v for k, v in port.items() if v} for port in _ports(service, pods)]
    if ports and subset:
        subset["ports"] = ports
    labels = dict(metadata.get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    found: dict[str, Any] = {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"],
                     "labels": labels},
    }  # fmt: skip
    if subset:
        found["subsets"] = [subset]
    return found
