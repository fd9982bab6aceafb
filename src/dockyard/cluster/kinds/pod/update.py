"""Turns the change of a pod into its faults: nearly all of a pod's spec is fixed at its birth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.fielderrors import FieldError

_FIXED = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def check_update(pod: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """Faults of an update of a pod (not of its subresources)."""
    spec, before = pod.get("spec", {}), old.get("spec", {})
    faults: list[FieldError] = []
    for group in ("containers", "initContainers"):
        now, then = spec.get(group) or (), before.get(group) or ()
        if len(now) != len(then):
            return [
                field.forbidden(f"spec.{group}", "pod updates may not add or remove containers")
            ]
        for index, container in enumerate(now):
            if not container.get("image"):
                faults.append(field.required(f"spec.{group}[{index}].image"))
    faults += _tolerations(spec, before)
    faults += _deadline(spec, before)
    if not faults and _rest(spec) != _rest(before):
        faults.append(field.forbidden("spec", _FIXED))
    return faults


def _rest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What may not change."""
    found = {
        name: value
        for name, value in spec.items()
        if name not in {"tolerations", "activeDeadlineSeconds", "schedulingGates"}
    }
    for group in ("containers", "initContainers"):
        if group in found:
            found[group] = [
                {name: value for name, value in container.items() if name != "image"}
                for container in found[group]
            ]
    return found


def _tolerations(spec: Mapping[str, Any], before: Mapping[str, Any]) -> list[FieldError]:
    now = spec.get("tolerations") or []
    missing = [each for each in before.get("tolerations") or () if each not in now]
    if not missing:
        return []
    return [
        field.forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )
    ]


def _deadline(spec: Mapping[str, Any], before: Mapping[str, Any]) -> list[FieldError]:
    now, then = spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if then is not None and now is None:
        return [
            field.invalid(
                "spec.activeDeadlineSeconds",
                now,
                "must not update from a positive integer to nil value",
            )
        ]
    if now is not None and then is not None and now > then:
        return [
            field.invalid(
                "spec.activeDeadlineSeconds",
                now,
                "must be less than or equal to previous value",
            )
        ]
    return []


def check_status(pod: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """Faults of a status update: a container that ended for good does not run again."""
    spec, faults = pod.get("spec", {}), []
    policy = spec.get("restartPolicy", "Always")
    if policy == "Always":
        return []
    before = {
        each.get("name"): (each.get("state") or {})
        for each in old.get("status", {}).get("containerStatuses") or ()
    }
    for index, each in enumerate(pod.get("status", {}).get("containerStatuses") or ()):
        ended = before.get(each.get("name"), {}).get("terminated")
        if not ended or "terminated" in (each.get("state") or {}):
            continue
        if policy == "Never" or ended.get("exitCode") == 0:
            faults.append(
                field.forbidden(
                    f"status.containerStatuses[{index}].state",
                    "may not be transitioned to non-terminated state",
                )
            )
    return faults
