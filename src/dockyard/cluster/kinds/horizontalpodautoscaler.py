"""HorizontalPodAutoscalers, stored as v2; v1 knows CPU only and carries the rest in annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, UNSET, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

_CPU_SHARE = 80


def _default(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [_cpu(_CPU_SHARE)]


def _default_v1(obj: dict[str, Any]) -> None:
    obj.setdefault("spec", {}).setdefault("minReplicas", 1)


def _cpu(share: int) -> dict[str, Any]:
    return {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": share},
        },
    }


def _is_cpu(metric: Mapping[str, Any]) -> bool:
    resource = metric.get("resource") or {}
    return resource.get("name") == "cpu" and "averageUtilization" in (resource.get("target") or {})


def _check(obj: Mapping[str, Any]) -> list[FieldError]:
    spec = obj.get("spec", {})
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    target = spec.get("scaleTargetRef") or {}
    faults = checks.needed(target, "spec.scaleTargetRef", "kind", "name")
    if least < 1:
        faults.append(
            field.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
        )
    if most < 1:
        faults.append(field.invalid("spec.maxReplicas", most, "must be greater than 0"))
    elif most < least:
        faults.append(
            field.invalid(
                "spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"
            )
        )
    return faults


def _cells(obj: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    target = spec.get("scaleTargetRef") or {}
    return [
        name(obj),
        f"{target.get('kind')}/{target.get('name')}",
        _targets(spec, status),
        str(spec.get("minReplicas", UNSET)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _targets(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    current = status.get("currentMetrics") or ()
    found: list[str] = []
    for index, metric in enumerate(spec.get("metrics") or ()):
        if metric.get("type") != "Resource":
            continue
        wanted = (metric.get("resource") or {}).get("target") or {}
        value = "<unknown>"
        if index < len(current):
            seen = (current[index].get("resource") or {}).get("current") or {}
            if "averageUtilization" in seen:
                value = f"{seen['averageUtilization']}%"
            elif "averageValue" in seen:
                value = str(seen["averageValue"])
        goal = wanted.get("averageUtilization")
        shown = f"{goal}%" if goal is not None else wanted.get("averageValue", "<auto>")
        found.append(f"{metric['resource'].get('name')}: {value}/{shown}")
    if len(found) > 2:
        return f"{', '.join(found[:2])} + {len(found) - 2} more..."
    return ", ".join(found) or "<none>"


_COLUMNS = (
    NAME,
    text("Reference", "What it scales."),
    text("Targets", "What it measures, and what it wants."),
    text("MinPods", "Least pods."),
    text("MaxPods", "Most pods."),
    text("Replicas", "Pods there are."),
    AGE,
)


def to_v2(obj: dict[str, Any]) -> dict[str, Any]:
    """A v1 object as v2 stores it."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    share = spec.pop("targetCPUUtilizationPercentage", None)
    if share is not None:
        spec["metrics"] = [_cpu(share)]
    now = status.pop("currentCPUUtilizationPercentage", None)
    if now is not None:
        status["currentMetrics"] = [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": now}},
            }
        ]
    return _converted(obj, "autoscaling/v2", spec, status)


def to_v1(obj: dict[str, Any]) -> dict[str, Any]:
    """A stored object as v1 shows it: the CPU target; other metrics only v2 shows."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    for metric in filter(_is_cpu, spec.pop("metrics", None) or ()):
        target = metric["resource"]["target"]
        spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
    spec.pop("behavior", None)
    for metric in status.pop("currentMetrics", None) or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current:
            status["currentCPUUtilizationPercentage"] = current["averageUtilization"]
    status.pop("conditions", None)
    return _converted(obj, "autoscaling/v1", spec, status)


def _converted(
    obj: dict[str, Any], version: str, spec: dict[str, Any], status: dict[str, Any]
) -> dict[str, Any]:
    found = {**obj, "apiVersion": version, "spec": spec}
    if "status" in obj:
        found["status"] = status
    return found


KINDS = (
    Kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short_names=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
        fill_defaults=_default,
        check=_check,
        columns=_COLUMNS,
        cells=_cells,
    ),
    Kind(
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        short_names=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
        fill_defaults=_default_v1,
        check=_check,
        columns=_COLUMNS,
        cells=lambda obj, now: _cells(to_v2(dict(obj)), now),
        hub=("autoscaling", "v2"),
        to_hub=to_v2,
        from_hub=to_v1,
    ),
)
