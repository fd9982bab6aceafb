"""HorizontalPodAutoscalers, stored as v2; v1 knows CPU only and carries the rest in annotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds import checks
from dockyard.cluster.kinds.columns import AGE, NAME, UNSET, age, name, text
from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.meta import errors
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.decode import decode_json
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


_PREFIX = "autoscaling.alpha.kubernetes.io/"
_CARRIED = {"spec": ("metrics", "behavior"), "status": ("currentMetrics", "conditions")}
"""What v1 has no field for; a v1 object has it, as JSON, in annotations named after it."""


def to_v2(obj: dict[str, Any]) -> dict[str, Any]:
    """A v1 object as v2 stores it."""
    found = _converted(obj, "autoscaling/v2")
    metadata = found["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    for half, names in _CARRIED.items():
        for part in names:
            carried = annotations.pop(_annotation(part), None)
            if carried is not None:
                found.setdefault(half, {})[part] = _parsed(carried, part)
    share = found["spec"].pop("targetCPUUtilizationPercentage", None)
    if share is not None:
        found["spec"]["metrics"] = [_cpu(share), *(found["spec"].get("metrics") or ())]
    now = found.get("status", {}).pop("currentCPUUtilizationPercentage", None)
    if now is not None:
        seen = {"name": "cpu", "current": {"averageUtilization": now}}
        found["status"]["currentMetrics"] = [
            {"type": "Resource", "resource": seen},
            *(found["status"].get("currentMetrics") or ()),
        ]
    _annotate(metadata, annotations)
    return found


def to_v1(obj: dict[str, Any]) -> dict[str, Any]:
    """A stored object as v1 shows it."""
    found = _converted(obj, "autoscaling/v1")
    metadata, spec, status = found["metadata"], found["spec"], found.get("status", {})
    annotations = dict(metadata.get("annotations") or {})
    rest = []
    for metric in spec.pop("metrics", None) or ():
        if _is_cpu(metric) and "targetCPUUtilizationPercentage" not in spec:
            target = metric["resource"]["target"]
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            rest.append(metric)
    seen = []
    for metric in status.pop("currentMetrics", None) or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if "averageUtilization" in current and "currentCPUUtilizationPercentage" not in status:
            status["currentCPUUtilizationPercentage"] = current["averageUtilization"]
        else:
            seen.append(metric)
    carried = {
        "metrics": rest,
        "behavior": spec.pop("behavior", None),
        "currentMetrics": seen,
        "conditions": status.pop("conditions", None),
    }
    for part, value in carried.items():
        if value:
            annotations[_annotation(part)] = json.dumps(value, separators=(",", ":"))
    _annotate(metadata, annotations)
    return found


def _annotation(part: str) -> str:
    words = "".join(f"-{each.lower()}" if each.isupper() else each for each in part)
    return _PREFIX + words


def _parsed(carried: str, part: str) -> Any:
    try:
        return decode_json(carried.encode())[0]
    except errors.BadRequest as error:
        raise errors.BadRequest(f"annotation {_annotation(part)}: not JSON: {error}") from error


def _annotate(metadata: dict[str, Any], annotations: dict[str, Any]) -> None:
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def _converted(obj: dict[str, Any], version: str) -> dict[str, Any]:
    """The object under another version, with halves of its own."""
    found = {**obj, "apiVersion": version}
    found["metadata"] = dict(obj.get("metadata") or {})
    found["spec"] = dict(obj.get("spec") or {})
    if "status" in obj:
        found["status"] = dict(obj["status"])
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
