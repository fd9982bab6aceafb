"""Turns a node's state into the taints that it should have, and tolerations into time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import condition

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
_PRESSURE = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURE.values()})
Taint = Mapping[str, Any]


def state_taint(node: Object) -> str:
    """``not-ready``, ``unreachable`` or nothing."""
    ready = condition(node, "Ready").get("status", "False")
    return {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready, "")


def wanted(node: Object, stamp: str) -> list[dict[str, Any]]:
    """All taints of a node: others' as they are, ours as its conditions say."""
    have = node["spec"].get("taints") or ()
    found = [dict(each) for each in have if each["key"] not in OURS]
    effects: list[tuple[str, str]] = []
    if state := state_taint(node):
        effects += [(state, NO_SCHEDULE), (state, NO_EXECUTE)]
    for kind, key in _PRESSURE.items():
        if condition(node, kind).get("status") == "True":
            effects.append((key, NO_SCHEDULE))
    if node["spec"].get("unschedulable"):
        effects.append((UNSCHEDULABLE, NO_SCHEDULE))
    known = {(each["key"], each["effect"]): dict(each) for each in have}
    for key, effect in effects:
        found.append(known.get((key, effect)) or {"key": key, "effect": effect, "timeAdded": stamp})
    return found


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Whether a toleration covers a taint ("Taints and Tolerations")."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (
        toleration.get("value", "") == (taint.get("value") or "")
    )


def tolerated_seconds(pod: Object, taints: Iterable[Taint]) -> float | None:
    """How long a pod stays on a node with these NoExecute taints; None is for ever."""
    seconds: list[float] = []
    for taint in taints:
        matching = [each for each in pod["spec"].get("tolerations") or () if tolerates(each, taint)]
        if not matching:
            return 0.0
        seconds += [max(0.0, float(each["tolerationSeconds"])) for each in matching
                    if each.get("tolerationSeconds") is not None]  # fmt: skip
    return min(seconds) if seconds else None
