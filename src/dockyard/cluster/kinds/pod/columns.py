"""Turns a Pod into the row of ``kubectl get pods``; the status word is kubectl's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.cluster.kinds.columns import AGE, NAME, NONE, age, name, text
from dockyard.cluster.meta import age as ages

COLUMNS = (
    NAME,
    text("Ready", "Containers that are ready, of all."),
    text("Status", "Its phase, or the reason why it is not what one hopes for."),
    text("Restarts", "How often its containers were started again, and when last."),
    AGE,
    text("IP", "Address of the pod.", 1),
    text("Node", "Where it runs.", 1),
    text("Nominated Node", "Where room is being made for it.", 1),
    text("Readiness Gates", "Conditions of others that are met, of all.", 1),
)
NODE_UNREACHABLE = "NodeLost"


class Summary:
    """What the containers of a pod say together."""

    __slots__ = ("ready", "restarted", "restarts", "total", "word")

    def __init__(self, total: int, word: str):
        self.total = total
        self.word = word
        self.ready = 0
        self.restarts = 0
        self.restarted = ""
        """When a container last ended to be started again; UTC timestamps sort as text."""

    def count_restarts(self, container: Mapping[str, Any]) -> None:
        self.restarts += container.get("restartCount", 0)
        ended = (container.get("lastState") or {}).get("terminated") or {}
        self.restarted = max(self.restarted, str(ended.get("finishedAt") or ""))


def cells(pod: Mapping[str, Any], now: float) -> list[Any]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    found = summary(pod)
    restarts = str(found.restarts)
    if found.restarts and found.restarted:
        restarts = f"{found.restarts} ({ages.age(found.restarted, now)} ago)"
    return [
        name(pod),
        f"{found.ready}/{found.total}",
        found.word,
        restarts,
        age(pod, now),
        _address(status),
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _address(status: Mapping[str, Any]) -> str:
    addresses = status.get("podIPs") or ()
    if addresses:
        return str(addresses[0].get("ip", "")) or NONE
    return status.get("podIP") or NONE


def _gates(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    conditions = {each["type"]: each.get("status") for each in status.get("conditions") or ()}
    met = sum(conditions.get(gate["conditionType"]) == "True" for gate in gates)
    return f"{met}/{len(gates)}"


def summary(pod: Mapping[str, Any]) -> Summary:
    """Ready and all containers, restarts, and the word for the pod's state: ``Running``,
    ``CrashLoopBackOff``, ``Init:0/1``, ``Terminating``."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    sidecars = {
        each.get("name")
        for each in spec.get("initContainers") or ()
        if each.get("restartPolicy") == "Always"
    }
    found = Summary(
        len(spec.get("containers") or ()) + len(sidecars),
        status.get("reason") or status.get("phase") or "",
    )
    if conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
        found.word = "SchedulingGated"
    initializing = _init(found, spec, status, sidecars)
    if not initializing or _true(conditions, "Initialized"):
        _main(found, status, sidecars, _true(conditions, "Ready"))
    if pod.get("metadata", {}).get("deletionTimestamp"):
        if status.get("reason") == NODE_UNREACHABLE:
            found.word = "Unknown"
        elif status.get("phase") not in {"Succeeded", "Failed"}:
            found.word = "Terminating"
    return found


def _init(
    found: Summary, spec: Mapping[str, Any], status: Mapping[str, Any], sidecars: set[Any]
) -> bool:
    """Add the init containers; is the pod still at them?"""
    for index, each in enumerate(status.get("initContainerStatuses") or ()):
        found.count_restarts(each)
        state = each.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if each.get("name") in sidecars and each.get("started"):
            found.ready += bool(each.get("ready"))
            continue
        if ended is not None:
            found.word = f"Init:{_ended(ended)}"
        elif waiting.get("reason", "") not in {"", "PodInitializing"}:
            found.word = f"Init:{waiting['reason']}"
        else:
            found.word = f"Init:{index}/{len(spec.get('initContainers') or ())}"
        return True
    return False


def _main(found: Summary, status: Mapping[str, Any], sidecars: set[Any], ready: bool) -> None:
    """Add the containers; of the init containers' restarts only the sidecars' still count."""
    found.restarts, found.restarted = 0, ""
    for each in status.get("initContainerStatuses") or ():
        if each.get("name") in sidecars:
            found.count_restarts(each)
    running = False
    for each in reversed(status.get("containerStatuses") or ()):
        found.count_restarts(each)
        word = _word(each)
        if word:
            found.word = word
        elif each.get("ready") and "running" in (each.get("state") or {}):
            running = True
            found.ready += 1
    if found.word == "Completed" and running:
        found.word = "Running" if ready else "NotReady"


def _word(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    return _ended(ended) if ended is not None else ""


def _ended(ended: Mapping[str, Any]) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _true(conditions: Mapping[Any, Mapping[str, Any]], name: str) -> bool:
    return conditions.get(name, {}).get("status") == "True"
