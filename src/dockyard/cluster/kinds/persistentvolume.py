"""PersistentVolumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import accessmodes, checks
from dockyard.cluster.kinds.columns import AGE, NAME, UNSET, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.pod.affinity import node_selector
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

_NOT_SOURCES = frozenset({
    "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
    "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName",
})  # fmt: skip
_POLICIES = ("Delete", "Recycle", "Retain")


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    spec["persistentVolumeReclaimPolicy"] = spec.get("persistentVolumeReclaimPolicy") or "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"phase": "Pending"}


def _source(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in _NOT_SOURCES}


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = accessmodes.check(spec.get("accessModes") or (), "spec.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        faults.append(field.required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        faults.append(field.not_supported("spec.capacity", capacity, ("storage",)))
    else:
        faults += checks.amount(capacity["storage"], "spec.capacity[storage]")
    sources = _source(spec)
    if not sources:
        faults.append(field.required("spec", "must specify a volume type"))
    for each in list(sources)[1:]:
        faults.append(field.forbidden(f"spec.{each}", "may not specify more than 1 volume type"))
    for each in ("hostPath", "local"):
        path = (sources.get(each) or {}).get("path")
        if each in sources and not path:
            faults.append(field.required(f"spec.{each}.path"))
        elif path and ".." in path.split("/"):
            faults.append(field.invalid(f"spec.{each}.path", path, "must not contain '..'"))
    faults += checks.one_of(
        spec.get("persistentVolumeReclaimPolicy"), "spec.persistentVolumeReclaimPolicy", _POLICIES
    )
    faults += checks.one_of(spec.get("volumeMode"), "spec.volumeMode", accessmodes.VOLUME_MODES)
    required = (spec.get("nodeAffinity") or {}).get("required")
    if required is not None:
        faults += node_selector(required, "spec.nodeAffinity.required")
    elif "local" in sources:
        faults.append(field.required("spec.nodeAffinity", "Local volume requires node affinity"))
    return faults


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    faults: list[FieldError] = []
    if _source(spec) != _source(before):
        faults.append(
            field.forbidden(
                "spec.persistentvolumesource",
                "spec.persistentvolumesource is immutable after creation",
            )
        )
    return faults + field.immutable(
        "spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode")
    )


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    claim = spec.get("claimRef") or {}
    phase = status.get("phase", "")
    if obj.get("metadata", {}).get("deletionTimestamp"):
        phase = "Terminating"
    return [
        name(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        accessmodes.short(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase,
        f"{claim.get('namespace')}/{claim.get('name')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


KINDS = (
    Kind(
        "",
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        namespaced=False,
        short_names=("pv",),
        subresources=(STATUS,),
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Capacity", "Its size."),
            text("Access Modes", "Who may use it at once, and how."),
            text("Reclaim Policy", "What becomes of it when its claim goes."),
            text("Status", "Its phase."),
            text("Claim", "Whose it is."),
            text("StorageClass", "Its class."),
            text("VolumeAttributesClass", "Its class of changeable attributes."),
            text("Reason", "Why it is in its phase."),
            AGE,
            text("VolumeMode", "A file system, or a block device.", 1),
        ),
        cells=_cells,
    ),
)
