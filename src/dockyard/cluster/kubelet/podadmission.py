"""Turns a pod into the reason why this node will never run it, if there is one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.status import Rejected

OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")


def refusal(pod: Object, labels: Mapping[str, str]) -> Rejected | None:
    """None: it may run. ``labels`` are the node's."""
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
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            return _unsupported(f"init container {container['name']}: restartPolicy Always")
    if spec.get("ephemeralContainers"):
        return _unsupported("ephemeral containers")
    if spec.get("hostUsers") is False:
        return _unsupported("hostUsers: false")
    if spec.get("shareProcessNamespace"):
        return _unsupported("shareProcessNamespace")
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
