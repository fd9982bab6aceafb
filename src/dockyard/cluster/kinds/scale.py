"""Turns a workload into its Scale, and a changed Scale into a changed workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.selectors import format_label_selector

DEFINITION = "io.k8s.api.autoscaling.v1.Scale"
_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The ``autoscaling/v1`` Scale of a workload."""
    metadata, spec, status = obj["metadata"], obj.get("spec", {}), obj.get("status", {})
    selector = spec.get("selector")
    if (
        selector is not None
        and "matchLabels" not in selector
        and "matchExpressions" not in selector
    ):
        selector = {"matchLabels": selector}  # a ReplicationController's plain map
    found: dict[str, Any] = {"replicas": status.get("replicas", 0)}
    if selector:
        found["selector"] = format_label_selector(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
        "spec": {"replicas": spec["replicas"]} if spec.get("replicas") else {},
        "status": found,
    }


def scaled(obj: Mapping[str, Any], scale: Mapping[str, Any]) -> dict[str, Any]:
    """A workload with the Scale's replicas, and its resourceVersion as precondition."""
    faults = checks.not_negative(scale.get("spec") or {}, "spec", "replicas")
    metadata = scale.get("metadata") or {}
    if faults:
        raise errors.invalid("Scale", metadata.get("name", ""), faults, "autoscaling")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    found = {**obj, "spec": {**obj["spec"], "replicas": replicas}}
    if metadata.get("resourceVersion"):
        found["metadata"] = {**obj["metadata"], "resourceVersion": metadata["resourceVersion"]}
    return found
