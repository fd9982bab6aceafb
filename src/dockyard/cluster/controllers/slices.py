"""Turns a Service and its pods into EndpointSlices and Endpoints. Pure.

Pods may mean different numbers by the same name of a port (in the middle of a rollout that changes
it): those that agree share a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import is_ready, reference_to

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
HEADLESS = "service.kubernetes.io/headless"
MANAGER = "endpointslice-controller.k8s.io"
MIRROR = "endpointslicemirroring-controller.k8s.io"
LARGEST = 100
"""Endpoints of one slice."""
MOST_ADDRESSES = 1000
"""Of one Endpoints object; the rest is left out, and it says so."""
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
Ports = tuple[tuple[str, int, str, str], ...]
"""(name, number, protocol, appProtocol)."""


def slices_of(service: Object, pods: Iterable[Object]) -> list[dict[str, Any]]:
    """EndpointSlices; one without endpoints where there are none."""
    parts: list[tuple[Ports, list[Object]]] = []
    for ports, group in grouped(service, pods).items():
        parts += [(ports, group[i : i + LARGEST]) for i in range(0, len(group), LARGEST)]
    return [
        _slice(service, MANAGER, index, "IPv4", [_endpoint(service, pod) for pod in group], ports)
        for index, (ports, group) in enumerate(parts or [((), [])])
    ]


def grouped(service: Object, pods: Iterable[Object]) -> dict[Ports, list[Object]]:
    """Pods by what the Service's ports mean on them."""
    found: dict[Ports, list[Object]] = {}
    for pod in pods:
        found.setdefault(tuple(_ports(service, pod)), []).append(pod)
    return found


def _slice(
    service: Object, manager: str, index: int, family: str, endpoints: list[dict[str, Any]],
    ports: Ports,
) -> dict[str, Any]:  # fmt: skip
    metadata = service["metadata"]
    own = {SERVICE_NAME: metadata["name"], MANAGED_BY: manager}
    if service["spec"].get("clusterIP") == "None":
        own[HEADLESS] = ""
    copied = {name: value for name, value in (metadata.get("labels") or {}).items()
              if name not in (SERVICE_NAME, MANAGED_BY, HEADLESS)}  # fmt: skip
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"{metadata['name']}-{metadata['uid'][:5]}{index or ''}",
            "namespace": metadata["namespace"],
            "labels": {**copied, **own},
            "ownerReferences": [reference_to(service, "Service", "v1")],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [
            {"name": name, "port": number, "protocol": protocol,
             **({"appProtocol": application} if application else {})}
            for name, number, protocol, application in ports
        ],
    }  # fmt: skip


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


def _ports(service: Object, pod: Object) -> Iterator[tuple[str, int, str, str]]:
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            yield (port.get("name", ""), number, port.get("protocol", "TCP"),
                   port.get("appProtocol", ""))  # fmt: skip


def target_port(port: Object, pod: Object) -> int | None:
    """The number that a Service's port means on a pod; None where the pod has no such name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers", ()):
        for found in container.get("ports") or ():
            same = found.get("protocol", "TCP") == port.get("protocol", "TCP")
            if found.get("name") == target and same:
                return int(found["containerPort"])
    return None


def endpoints_of(service: Object, pods: list[Object]) -> dict[str, Any]:
    """The older form of the same."""
    metadata = service["metadata"]
    groups = grouped(service, pods[:MOST_ADDRESSES])
    subsets = [_subset(service, ports, group) for ports, group in groups.items()]
    labels = dict(metadata.get("labels") or {})
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    found: dict[str, Any] = {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"],
                     "labels": labels},
    }  # fmt: skip
    if len(pods) > MOST_ADDRESSES:
        found["metadata"]["annotations"] = {OVER_CAPACITY: "truncated"}
    if any(subsets):
        found["subsets"] = [each for each in subsets if each]
    return found


def _subset(service: Object, ports: Ports, pods: list[Object]) -> dict[str, Any]:
    """Empty where none of the pods may be shown."""
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
    names = ("name", "port", "protocol", "appProtocol")
    shown = [{name: value for name, value in zip(names, port, strict=True) if value}
             for port in ports]  # fmt: skip
    if not ready and not not_ready:
        return {}
    sections = {"addresses": ready, "notReadyAddresses": not_ready, "ports": shown}
    return {name: value for name, value in sections.items() if value}


def mirrored(service: Object, endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Slices of a Service without a selector, whose Endpoints somebody else has written."""
    parts: list[tuple[Ports, str, list[dict[str, Any]]]] = []
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            (p.get("name", ""), int(p["port"]), p.get("protocol", "TCP"), p.get("appProtocol", ""))
            for p in subset.get("ports") or ()
        )
        by_family: dict[str, list[dict[str, Any]]] = {}
        for section, good in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(section) or ():
                family = "IPv6" if ":" in address["ip"] else "IPv4"
                by_family.setdefault(family, []).append(_mirror(address, good))
        for family, found in by_family.items():
            parts += [(ports, family, found[i : i + LARGEST])
                      for i in range(0, len(found), LARGEST)]  # fmt: skip
    return [_slice(service, MIRROR, index, family, found, ports)
            for index, (ports, family, found) in enumerate(parts)]  # fmt: skip


def _mirror(address: Object, good: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": good}}
    for name in ("hostname", "nodeName", "targetRef"):
        if address.get(name):
            found[name] = address[name]
    return found
