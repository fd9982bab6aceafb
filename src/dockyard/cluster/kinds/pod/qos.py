"""Turns a pod's requests and limits into its quality-of-service class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.meta import quantity

_COUNTED = ("cpu", "memory")


def of(spec: Mapping[str, Any]) -> str:
    """``Guaranteed``: every container's limits equal its requests; ``BestEffort``: none has any."""
    asked = False
    guaranteed = True
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            resources = container.get("resources") or {}
            requests = _amounts(resources.get("requests"))
            limits = _amounts(resources.get("limits"))
            asked = asked or bool(requests) or bool(limits)
            guaranteed = guaranteed and len(limits) == len(_COUNTED) and requests == limits
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(found: Mapping[str, Any] | None) -> dict[str, Any]:
    values = {name: quantity.value_of(found[name]) for name in _COUNTED if found and name in found}
    return {name: value for name, value in values.items() if value}
