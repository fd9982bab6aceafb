"""Deployments."""

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
    text,
)
from dockyard.cluster.kinds.kind import SCALE, STATUS, Kind
from dockyard.cluster.kinds.podtemplate import check_workload, default_template, selector_stays
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

SHARE = "25%"
PROGRESS_SECONDS = 600
HISTORY = 10


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    default_template(spec)
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", SHARE)
        rolling.setdefault("maxSurge", SHARE)
    spec.setdefault("revisionHistoryLimit", HISTORY)
    spec.setdefault("progressDeadlineSeconds", PROGRESS_SECONDS)


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    faults = checks.not_negative(spec, "spec", "replicas", "minReadySeconds")
    faults += check_workload(obj, "deployment")
    faults += _strategy(spec.get("strategy") or {}, "spec.strategy")
    faults += checks.not_negative(spec, "spec", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        faults.append(
            field.invalid(
                "spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"
            )
        )
    return faults


def _strategy(strategy: Mapping[str, Any], path: str) -> list[FieldError]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is None:
            return []
        return [
            field.forbidden(
                f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
            )
        ]
    if kind != "RollingUpdate":
        return [field.not_supported(f"{path}.type", kind, ("Recreate", "RollingUpdate"))]
    at = f"{path}.rollingUpdate"
    gone, more = (
        (rolling or {}).get("maxUnavailable", SHARE),
        (rolling or {}).get("maxSurge", SHARE),
    )
    faults = checks.int_or_percent(gone, f"{at}.maxUnavailable")
    faults += checks.int_or_percent(more, f"{at}.maxSurge")
    if faults:
        return faults
    if checks.scaled(gone, 100, up=True) == 0 and checks.scaled(more, 100, up=True) == 0:
        faults.append(
            field.invalid(f"{at}.maxUnavailable", gone, "may not be 0 when `maxSurge` is 0")
        )
    if isinstance(gone, str) and int(gone[:-1]) > 100:
        faults.append(field.invalid(f"{at}.maxUnavailable", gone, "must not be greater than 100%"))
    return faults


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *containers(template_spec(obj)),
        selector(spec.get("selector")),
    ]


KINDS = (
    Kind(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        short_names=("deploy",),
        categories=("all",),
        subresources=(SCALE, STATUS),
        has_generation=True,
        fill_defaults=_default,
        check=_check,
        check_update=selector_stays,
        columns=(
            NAME,
            text("Ready", "Pods that are ready, of those wanted."),
            number("Up-to-date", "Pods of the newest template."),
            number("Available", "Pods that have been ready for long enough."),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ),
        cells=_cells,
    ),
)
