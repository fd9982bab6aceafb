"""StatefulSets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    age,
    containers,
    name,
    template_spec,
    text,
)
from dockyard.cluster.kinds.kind import SCALE, STATUS, Kind
from dockyard.cluster.kinds.persistentvolumeclaim import default_claim
from dockyard.cluster.kinds.podtemplate import check_workload, default_template
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

_MOVABLE = frozenset({
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
})  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
    "'minReadySeconds' are forbidden"
)


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    default_template(spec)
    spec["podManagementPolicy"] = spec.get("podManagementPolicy") or "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for part in ("whenDeleted", "whenScaled"):
        retention[part] = retention.get(part) or "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        default_claim(claim)
        claim["status"] = {"phase": "Pending"}


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"replicas": 0, "availableReplicas": 0}


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = checks.one_of(
        spec.get("podManagementPolicy"), "spec.podManagementPolicy", ("OrderedReady", "Parallel")
    )
    strategy = spec.get("updateStrategy") or {}
    faults += checks.one_of(
        strategy.get("type"), "spec.updateStrategy.type", ("OnDelete", "RollingUpdate")
    )
    if strategy.get("type") == "OnDelete" and "rollingUpdate" in strategy:
        faults.append(
            field.invalid(
                "spec.updateStrategy.rollingUpdate",
                strategy["rollingUpdate"],
                "only allowed for updateStrategy 'RollingUpdate'",
            )
        )
    faults += checks.not_negative(
        strategy.get("rollingUpdate") or {}, "spec.updateStrategy.rollingUpdate", "partition"
    )
    for part, value in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).items():
        faults += checks.one_of(
            value, f"spec.persistentVolumeClaimRetentionPolicy.{part}", ("Delete", "Retain")
        )
    faults += checks.not_negative(spec, "spec", "replicas", "minReadySeconds")
    return faults + check_workload(_with_claims(obj), "statefulset")


def _with_claims(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object as its pods will be: each claim template is a volume that they may mount."""
    spec = obj.get("spec", {})
    claims = [
        claim.get("metadata", {}).get("name", "")
        for claim in spec.get("volumeClaimTemplates") or ()
    ]
    if not claims:
        return obj
    template = spec.get("template") or {}
    pod = dict(template.get("spec") or {})
    named = set(claims)
    pod["volumes"] = [
        each for each in pod.get("volumes") or () if each.get("name") not in named
    ] + [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    return {**obj, "spec": {**spec, "template": {**template, "spec": pod}}}


def _check_update(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    spec, before = obj.get("spec", {}), old.get("spec", {})
    if _fixed(spec) == _fixed(before):
        return []
    return [field.forbidden("spec", _FIXED)]


def _fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in spec.items() if key not in _MOVABLE}
    # What a claim template's own status says is nobody's change.
    found["volumeClaimTemplates"] = [
        {key: value for key, value in claim.items() if key != "status"}
        for claim in spec.get("volumeClaimTemplates") or ()
    ]
    return found


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        age(obj, now),
        *containers(template_spec(obj)),
    ]


KINDS = (
    Kind(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        short_names=("sts",),
        categories=("all",),
        subresources=(SCALE, STATUS),
        has_generation=True,
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=_check_update,
        columns=(
            NAME,
            text("Ready", "Pods that are ready, of those wanted."),
            AGE,
            CONTAINERS,
            IMAGES,
        ),
        cells=_cells,
    ),
)
