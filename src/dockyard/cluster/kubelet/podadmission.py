"""Turns a pod into the reason why this node will not (or no longer) run it, if any. Pure.

Reasons and words are those of the kubelet's admission (pkg/kubelet/lifecycle, "OutOfcpu").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.status import Rejected
from dockyard.cluster.meta import quantity

OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
UNITS: dict[str, Callable[[Decimal], int]] = {
    "cpu": lambda value: int(value * 1000), "memory": int, "ephemeral-storage": int,
}  # fmt: skip
"""What is counted, and in which units the reason names it."""


def past_deadline(pod: Object, now: float) -> float | None:
    """Seconds until ``activeDeadlineSeconds`` are over (0 or less: they are); None: no deadline."""
    seconds, started = pod["spec"].get("activeDeadlineSeconds"), pod["status"].get("startTime")
    if seconds is None or not started:
        return None
    return parse_stamp(started) + float(seconds) - now


def refusal(
    pod: Object, labels: Mapping[str, str], capacity: Mapping[str, str], others: Iterable[Object]
) -> Rejected | None:
    """None: it may run. ``labels`` and ``capacity`` are the node's; ``others`` run on it."""
    others = list(others)
    return (
        _other_system(pod, labels)
        or _no_room(pod, capacity, others)
        or _taken_port(pod, others)
        or _unsupported_part(pod)
    )


def _other_system(pod: Object, labels: Mapping[str, str]) -> Rejected | None:
    spec = pod["spec"]
    system = (spec.get("os") or {}).get("name", "linux")
    if system != "linux":
        return Rejected("PodOSNotSupported",
                        "Failed to admit pod as the OS field doesn't match node OS: "
                        f"{system} is not linux")  # fmt: skip
    selector = spec.get("nodeSelector") or {}
    for label in OS_LABELS:
        if selector.get(label, "linux") != "linux":
            return Rejected("PodOSSelectorNodeLabelDoesNotMatch",
                            f"Failed to admit pod as the `{label}` label doesn't match node "
                            f"label: {selector[label]} is not linux")  # fmt: skip
    if any(labels.get(name) != value for name, value in selector.items()):
        return Rejected("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match "
                                        "Pod's node affinity/selector")  # fmt: skip
    return None


def _no_room(pod: Object, capacity: Mapping[str, str], others: list[Object]) -> Rejected | None:
    most = int(capacity.get("pods", "0"))
    if most and len(others) + 1 > most:
        return _out_of("pods", 1, len(others), most)
    for name, units in UNITS.items():
        asked = request(pod, name)
        if not asked or name not in capacity:
            continue
        used = sum((request(each, name) for each in others), Decimal())
        there = quantity.value_of(capacity[name])
        if asked + used > there:
            return _out_of(name, units(asked), units(used), units(there))
    return None


def _out_of(name: str, asked: int, used: int, there: int) -> Rejected:
    return Rejected(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, "
        f"requested: {asked}, used: {used}, capacity: {there}",
    )


def request(pod: Object, name: str) -> Decimal:
    """What a pod asks for: its containers' sum, or what an init container needs alone."""
    spec = pod["spec"]

    def of(container: Object) -> Decimal:
        asked = ((container.get("resources") or {}).get("requests") or {}).get(name, "0")
        return quantity.value_of(asked)

    alone = max((of(each) for each in spec.get("initContainers") or ()), default=Decimal())
    together = sum((of(each) for each in spec["containers"]), Decimal())
    overhead = quantity.value_of((spec.get("overhead") or {}).get(name, "0"))
    return max(alone, together) + overhead


def _taken_port(pod: Object, others: list[Object]) -> Rejected | None:
    taken = [port for each in others for port in _host_ports(each)]
    for port, protocol, address in _host_ports(pod):
        for other_port, other_protocol, other_address in taken:
            same_address = address == other_address or "0.0.0.0" in (address, other_address)  # noqa: S104
            if (port, protocol) == (other_port, other_protocol) and same_address:
                return Rejected("NodePorts", "Predicate NodePorts failed: node(s) didn't have free "
                                             "ports for the requested pod ports")  # fmt: skip
    return None


def _host_ports(pod: Object) -> Iterator[tuple[int, str, str]]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield (port["hostPort"], port.get("protocol", "TCP"),
                       port.get("hostIP") or "0.0.0.0")  # fmt: skip  # noqa: S104


def _unsupported_part(pod: Object) -> Rejected | None:
    spec = pod["spec"]
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            return _unsupported(f"init container {container['name']}: restartPolicy Always")
    if spec.get("ephemeralContainers"):
        return _unsupported("ephemeral containers")
    if spec.get("hostUsers") is False:
        return _unsupported("hostUsers: false")
    if spec.get("shareProcessNamespace"):
        return _unsupported("shareProcessNamespace")
    if spec.get("setHostnameAsFQDN"):
        return _unsupported("setHostnameAsFQDN")
    if (spec.get("securityContext") or {}).get("supplementalGroupsPolicy") == "Strict":
        return Rejected(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        )
    if spec.get("runtimeClassName"):
        return _unsupported(f"runtimeClassName {spec['runtimeClassName']}")
    for container in spec["containers"]:
        for name in ("livenessProbe", "readinessProbe", "startupProbe"):
            if "grpc" in (container.get(name) or {}):
                return _unsupported(f"container {container['name']}: {name}: grpc")
        if container.get("volumeDevices"):
            return _unsupported(f"container {container['name']}: volumeDevices")
    return None


def _unsupported(what: str) -> Rejected:
    return Rejected("Unsupported", f"{what}: not implemented")
