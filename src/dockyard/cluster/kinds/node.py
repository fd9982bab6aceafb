"""Nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, NONE, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind, Subresource
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.age import UNKNOWN
from dockyard.cluster.meta.fielderrors import FieldError
from dockyard.cluster.meta.names import label_value, qualified_name

_ROLE = "node-role.kubernetes.io/"
_OLD_ROLE = "kubernetes.io/role"
_PROXY = ("create", "delete", "get", "patch", "update")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _default(obj: dict[str, Any]) -> None:
    status = obj.setdefault("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def _on_create(obj: dict[str, Any]) -> None:
    obj.setdefault("spec", {})


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    faults: list[FieldError] = []
    taints = obj.get("spec", {}).get("taints") or ()
    for index, taint in enumerate(taints):
        at = f"spec.taints[{index}]"
        faults += checks.named(taint.get("key", ""), f"{at}.key", qualified_name)
        value = taint.get("value", "")
        faults += [field.invalid(f"{at}.value", value, why) for why in label_value(value)]
        faults += checks.one_of(taint.get("effect"), f"{at}.effect", _EFFECTS)
    return faults + checks.distinct(
        (f"spec.taints[{index}]", f"{taint.get('key')}:{taint.get('effect')}")
        for index, taint in enumerate(taints)
    )


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    return [
        field.forbidden(f"spec.{part}", "node updates may not change it once it is set")
        for part in ("podCIDR", "podCIDRs", "providerID")
        if before.get(part) and spec.get(part) != before[part]
    ]


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    status = obj.get("status", {})
    info = status.get("nodeInfo") or {}
    return [
        name(obj),
        _status(obj),
        ",".join(roles(obj)) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _status(obj: Mapping[str, Any]) -> str:
    ready = next(
        (
            each
            for each in obj.get("status", {}).get("conditions") or ()
            if each.get("type") == "Ready"
        ),
        None,
    )
    word = {"True": "Ready", None: "Unknown"}.get(ready and ready.get("status"), "NotReady")
    return f"{word},SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else word


def roles(obj: Mapping[str, Any]) -> list[str]:
    """The roles that a node's labels name."""
    labels = obj.get("metadata", {}).get("labels") or {}
    found = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    found.add(labels.get(_OLD_ROLE, ""))
    return sorted(found - {""})


def _address(status: Mapping[str, Any], kind: str) -> str:
    return next(
        (
            each.get("address", "")
            for each in status.get("addresses") or ()
            if each.get("type") == kind
        ),
        NONE,
    )


def _fields(obj: Mapping[str, Any]) -> dict[str, str]:
    return {"spec.unschedulable": "true" if obj.get("spec", {}).get("unschedulable") else "false"}


KINDS = (
    Kind(
        "",
        "v1",
        "Node",
        "nodes",
        namespaced=False,
        short_names=("no",),
        subresources=(Subresource("proxy", _PROXY, "NodeProxyOptions"), STATUS),
        keeps_status=True,
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Status", "Ready or not, and whether new pods may come."),
            text("Roles", "The roles that its labels name."),
            AGE,
            text("Version", "Version of its kubelet."),
            text("Internal-IP", "Address inside the cluster.", 1),
            text("External-IP", "Address from outside.", 1),
            text("OS-Image", "Operating system.", 1),
            text("Kernel-Version", "Kernel.", 1),
            text("Container-Runtime", "What runs its containers.", 1),
        ),
        cells=_cells,
        fields=_fields,
        field_names=frozenset({"spec.unschedulable"}),
    ),
)
