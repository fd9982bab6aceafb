"""PersistentVolumeClaims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.base.errors import Invalid
from dockyard.cluster.kinds import accessmodes, checks
from dockyard.cluster.kinds.columns import AGE, NAME, UNSET, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta import quantity
from dockyard.cluster.meta.fielderrors import FieldError

_FIXED = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
    "bound claims"
)
_MOVABLE = frozenset({"volumeName", "resources", "volumeAttributesClassName"})


def default_claim(obj: dict[str, Any]) -> None:
    """A claim, or the template of one."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"phase": "Pending"}


def check_spec(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    faults = accessmodes.check(spec.get("accessModes") or (), f"{path}.accessModes")
    faults += checks.label_selector(spec.get("selector"), f"{path}.selector")
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    at = f"{path}.resources[storage]"
    if wanted is None:
        faults.append(field.required(at))
    else:
        try:
            if quantity.value_of(wanted) <= 0:
                faults.append(field.invalid(at, wanted, "must be greater than zero"))
        except Invalid as error:
            faults.append(field.invalid(at, wanted, str(error)))
    mode = spec.get("volumeMode")
    return faults + checks.one_of(mode, f"{path}.volumeMode", accessmodes.VOLUME_MODES)


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    return check_spec(obj.get("spec", {}), "spec")


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    faults: list[FieldError] = []
    fixed = {key: value for key, value in spec.items() if key not in _MOVABLE}
    then = {key: value for key, value in before.items() if key not in _MOVABLE}
    if "storageClassName" not in then:
        fixed.pop("storageClassName", None)  # the default class may come later
    if fixed != then or (
        before.get("volumeName") and spec.get("volumeName") != before["volumeName"]
    ):
        faults.append(field.forbidden("spec", _FIXED))
    if spec.get("resources") == before.get("resources"):
        return faults
    if old.get("status", {}).get("phase") != "Bound":
        return faults or [field.forbidden("spec", _FIXED)]
    if quantity.value_of(_storage(spec)) < quantity.value_of(_storage(before)):
        faults.append(
            field.forbidden(
                "spec.resources.requests.storage",
                "field can not be less than status.capacity",
            )
        )
    return faults


def _storage(spec: Mapping[str, Any]) -> str:
    found = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    return str(found)


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    phase = status.get("phase", "")
    if obj.get("metadata", {}).get("deletionTimestamp"):
        phase = "Terminating"
    bound = bool(spec.get("volumeName"))
    return [
        name(obj),
        phase,
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        accessmodes.short(status.get("accessModes") or ()) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


KINDS = (
    Kind(
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        short_names=("pvc",),
        subresources=(STATUS,),
        fill_defaults=default_claim,
        on_create=_on_create,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Status", "Its phase."),
            text("Volume", "What it has got."),
            text("Capacity", "How much it has got."),
            text("Access Modes", "Who may use it at once, and how."),
            text("StorageClass", "Its class."),
            text("VolumeAttributesClass", "Its class of changeable attributes."),
            AGE,
            text("VolumeMode", "A file system, or a block device.", 1),
        ),
        cells=_cells,
    ),
)
