"""DaemonSets."""

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
    labels,
    name,
    number,
    selector,
    template_spec,
    text,
)
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.podtemplate import check_workload, default_template, selector_stays
from dockyard.cluster.meta.fielderrors import FieldError

_COUNTS = (
    "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
    "numberAvailable",
)  # fmt: skip


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    default_template(spec)
    strategy = spec.setdefault("updateStrategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _on_create(obj: dict[str, Any]) -> None:
    obj["status"] = {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    }


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = check_workload(obj, "daemonset")
    faults += checks.not_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    return faults + checks.one_of(
        (spec.get("updateStrategy") or {}).get("type"),
        "spec.updateStrategy.type",
        ("OnDelete", "RollingUpdate"),
    )


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    status = obj.get("status", {})
    return [
        name(obj),
        *(status.get(count, 0) for count in _COUNTS),
        labels(template_spec(obj).get("nodeSelector")),
        age(obj, now),
        *containers(template_spec(obj)),
        selector(obj.get("spec", {}).get("selector")),
    ]


KINDS = (
    Kind(
        "apps",
        "v1",
        "DaemonSet",
        "daemonsets",
        short_names=("ds",),
        categories=("all",),
        subresources=(STATUS,),
        has_generation=True,
        fill_defaults=_default,
        on_create=_on_create,
        check=_check,
        check_update=selector_stays,
        columns=(
            NAME,
            number("Desired", "Nodes that should run its pod."),
            number("Current", "Nodes that run its pod."),
            number("Ready", "Pods that are ready."),
            number("Up-to-date", "Pods of the newest template."),
            number("Available", "Pods that have been ready for long enough."),
            text("Node Selector", "Nodes that it is for."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        cells=_cells,
    ),
)
