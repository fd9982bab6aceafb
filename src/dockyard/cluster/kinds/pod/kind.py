"""Pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.kind import READ_WRITE, STATUS, Kind, Subresource
from dockyard.cluster.kinds.pod import columns, qos, update
from dockyard.cluster.kinds.pod.defaults import default_pod
from dockyard.cluster.kinds.pod.validate import validate_spec
from dockyard.cluster.meta.fielderrors import FieldError


def _on_create(pod: dict[str, Any]) -> None:
    """The priority of a pod that names no class, and its first status."""
    spec = pod["spec"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    pod["status"] = {"phase": "Pending", "qosClass": qos.of(spec)}


def _check(pod: Mapping[str, Any]) -> list[FieldError]:
    return validate_spec(pod.get("spec", {}), "spec")


def _fields(pod: Mapping[str, Any]) -> dict[str, str]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    addresses = status.get("podIPs") or ()
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": addresses[0].get("ip", "") if addresses else status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }


_PROXY = ("create", "delete", "get", "patch", "update")

KINDS = (
    Kind(
        "",
        "v1",
        "Pod",
        "pods",
        short_names=("po",),
        categories=("all",),
        subresources=(
            Subresource("attach", ("create", "get"), "PodAttachOptions"),
            Subresource("binding", ("create",), "Binding"),
            Subresource("ephemeralcontainers", READ_WRITE),
            Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
            Subresource("exec", ("create", "get"), "PodExecOptions"),
            Subresource("log", ("get",)),
            Subresource("portforward", ("create", "get"), "PodPortForwardOptions"),
            Subresource("proxy", _PROXY, "PodProxyOptions"),
            Subresource("resize", READ_WRITE),
            STATUS,
        ),
        has_generation=True,
        fill_defaults=default_pod,
        on_create=_on_create,
        check=_check,
        check_update=update.check_update,
        check_status=update.check_status,
        columns=columns.COLUMNS,
        cells=columns.cells,
        fields=_fields,
        field_names=frozenset(
            {
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            }
        ),
    ),
)
