"""ReplicaSets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    age,
    containers,
    name,
    number,
    selector,
    template_spec,
)
from dockyard.cluster.kinds.kind import SCALE, STATUS, Kind
from dockyard.cluster.kinds.podtemplate import check_workload, default_template, selector_stays
from dockyard.cluster.meta.fielderrors import FieldError


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("replicas", 1)


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = checks.not_negative(spec, "spec", "replicas", "minReadySeconds")
    return faults + check_workload(obj, "replicaset")


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"replicas": 0}


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj, now),
        *containers(template_spec(obj)),
        selector(spec.get("selector")),
    ]


KINDS = (
    Kind(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        short_names=("rs",),
        categories=("all",),
        subresources=(SCALE, STATUS),
        has_generation=True,
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=selector_stays,
        columns=(
            NAME,
            number("Desired", "Pods wanted."),
            number("Current", "Pods there are."),
            number("Ready", "Pods that are ready."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        cells=_cells,
        fields=lambda obj: {"status.replicas": str(obj.get("status", {}).get("replicas", 0))},
        field_names=frozenset({"status.replicas"}),
    ),
)
