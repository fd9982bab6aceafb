"""Turns a Pod as the API has it into the numbers and terms that the scheduler works with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dockyard.cluster.meta.quantity import milli, whole

DEFAULT_MILLI_CPU = 100
"""What a container without a CPU request counts as when nodes are scored, not filtered."""
DEFAULT_MEMORY = 200 * 1024 * 1024
"""Likewise for memory, bytes."""

HostPort = tuple[str, str, int]
"""Host address (``0.0.0.0``: every one), protocol, port."""
LARGEST = 1 << 52
"""Of one amount: what all pods of a node ask for stays below 2^63, where a column overflows."""


@dataclass(frozen=True, slots=True)
class PodInfo:
    """What the scheduler needs to know of a pod."""

    uid: str
    namespace: str
    name: str
    node: str
    priority: int
    requests: Mapping[str, int]
    """By resource name: CPU in thousandths, everything else whole (bytes, devices, pods)."""
    scored_cpu: int
    scored_memory: int
    tolerations: tuple[Mapping[str, Any], ...]
    node_selector: Mapping[str, str]
    affinity: Mapping[str, Any]
    """``spec.affinity.nodeAffinity``."""
    host_ports: tuple[HostPort, ...]
    evicts: bool
    """May pods of lower priority make room for it? (``preemptionPolicy``)"""
    claims: tuple[str, ...]
    """Names of the PersistentVolumeClaims that its volumes use."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def pod_info(pod: Mapping[str, Any]) -> PodInfo:
    """The scheduler's view of a Pod that has passed validation."""
    metadata, spec = pod["metadata"], pod["spec"]
    containers = spec.get("containers", [])
    requests = pod_requests(spec)
    scored_cpu, scored_memory = _scored(spec)
    return PodInfo(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        node=spec.get("nodeName", ""),
        priority=int(spec.get("priority", 0)),
        requests=requests,
        scored_cpu=scored_cpu,
        scored_memory=scored_memory,
        tolerations=tuple(spec.get("tolerations", ())),
        node_selector=spec.get("nodeSelector", {}),
        affinity=spec.get("affinity", {}).get("nodeAffinity") or {},
        host_ports=tuple(_host_ports(containers)),
        evicts=spec.get("preemptionPolicy") != "Never",
        claims=tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec.get("volumes", ())
            if "persistentVolumeClaim" in volume
        ),
    )


def pod_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a pod asks of its node: the sum of its containers, or its largest init container if
    that is more, plus its overhead and one of ``pods``.

    An init container with ``restartPolicy: Always`` runs beside the others and counts with them.
    """
    total: dict[str, int] = {}
    for container in spec.get("containers", ()):
        _add(total, _requests(container))
    beside: dict[str, int] = {}
    for container in spec.get("initContainers", ()):
        wanted = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, wanted)
            _add(beside, wanted)
            continue
        _add(wanted, beside)
        for name, amount in wanted.items():
            total[name] = max(total.get(name, 0), amount)
    _add(total, _amounts(spec.get("overhead", {})))
    total["pods"] = 1
    return total


def _requests(container: Mapping[str, Any]) -> dict[str, int]:
    return _amounts(container.get("resources", {}).get("requests", {}))


def _amounts(quantities: Mapping[str, Any]) -> dict[str, int]:
    return {name: amount_of(name, text) for name, text in quantities.items()}


def amount_of(resource: str, quantity: Any) -> int:
    """Thousandths of a CPU, or whole units, at most ``LARGEST``."""
    found = milli(str(quantity)) if resource == "cpu" else whole(str(quantity))
    return min(found, LARGEST)


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = min(total.get(name, 0) + amount, LARGEST)


def _scored(spec: Mapping[str, Any]) -> tuple[int, int]:
    """CPU and memory for scoring: a container that asks for nothing counts as the default."""
    cpu = memory = 0
    for container in spec.get("containers", ()):
        wanted = _requests(container)
        cpu += wanted.get("cpu", DEFAULT_MILLI_CPU)
        memory += wanted.get("memory", DEFAULT_MEMORY)
    return min(cpu, LARGEST), min(memory, LARGEST)


def _host_ports(containers: list[Mapping[str, Any]]) -> Iterator[HostPort]:
    for container in containers:
        for port in container.get("ports", ()):
            if number := port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), number  # noqa: S104
