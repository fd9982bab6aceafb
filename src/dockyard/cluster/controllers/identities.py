"""Turns a StatefulSet and its pods into the next steps. Pure.

The rules of kubernetes' pkg/controller/statefulset: one after the other, each when the one before
is available; the last goes first; updates from the last to the first, one at a time, never past a
pod that does not serve. ``Parallel`` makes and deletes all at once, and updates as always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import is_alive, is_available

HASH = "controller-revision-hash"


class Step(NamedTuple):
    """``create`` or ``delete`` one pod."""

    verb: str
    name: str
    ordinal: int


def ordinal(name: str) -> int:
    """Of a pod's name; -1: it has none."""
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def ordinals(found: Object) -> range:
    """Of the pods that are wanted."""
    start = int((found["spec"].get("ordinals") or {}).get("start", 0))
    return range(start, start + int(found["spec"].get("replicas", 1)))


def partition(found: Object) -> int:
    """Pods below this ordinal keep the revision that they have."""
    rolling = (found["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return ordinals(found).start + int(rolling.get("partition") or 0)


def is_rolling(found: Object) -> bool:
    """Whether pods are replaced when the template changes."""
    strategy = found["spec"].get("updateStrategy") or {}
    return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")


def keeps_current(found: Object, number: int) -> bool:
    """Whether a pod is made from the revision before the newest: it is below the partition."""
    return is_rolling(found) and number < partition(found)


def serves(found: Object, pod: Object, now: float) -> bool:
    """Running, and ready for long enough."""
    seconds = int(found["spec"].get("minReadySeconds") or 0)
    running = pod.get("status", {}).get("phase") == "Running"
    return running and is_available(pod, seconds, now)


def is_leaving(pod: Object) -> bool:
    """On its way out."""
    return "deletionTimestamp" in pod["metadata"]


def revision(pod: Object) -> str:
    """Of the template that a pod was made from."""
    return str((pod["metadata"].get("labels") or {}).get(HASH, ""))


def next_steps(found: Object, pods: Mapping[str, Object], update: str, now: float) -> list[Step]:
    """What to do now; ``update`` is the newest revision."""
    name, ordered = found["metadata"]["name"], not _is_parallel(found)
    steps: list[Step] = []
    for number in ordinals(found):
        pod = pods.get(f"{name}-{number}")
        if pod is None:
            steps.append(Step("create", f"{name}-{number}", number))
        elif not is_alive(pod):
            if not is_leaving(pod):
                steps.append(Step("delete", f"{name}-{number}", number))
        elif not ordered or (not is_leaving(pod) and serves(found, pod, now)):
            continue
        if ordered:
            return steps
    surplus = _surplus(found, pods, now)
    if surplus is not None:
        return steps + surplus
    return steps or _update(found, pods, update, now)


def _is_parallel(found: Object) -> bool:
    return bool(found["spec"].get("podManagementPolicy") == "Parallel")


def _surplus(found: Object, pods: Mapping[str, Object], now: float) -> list[Step] | None:
    """Pods beyond the wanted ones; None: there are none to wait for."""
    wanted = ordinals(found)
    beyond = sorted((n for n in map(ordinal, pods) if n >= 0 and n not in wanted), reverse=True)
    named = {number: f"{found['metadata']['name']}-{number}" for number in beyond}
    if _is_parallel(found):
        going = [n for n in beyond if not is_leaving(pods[named[n]])]
        return [Step("delete", named[n], n) for n in going] or None
    if not beyond:
        return None
    broken = [n for n in beyond if not serves(found, pods[named[n]], now)]
    last = beyond[0]
    waits = last in broken and last != broken[-1]
    if is_leaving(pods[named[last]]) or waits:
        return []
    return [Step("delete", named[last], last)]


def _update(found: Object, pods: Mapping[str, Object], update: str, now: float) -> list[Step]:
    if not is_rolling(found):
        return []
    name = found["metadata"]["name"]
    for number in reversed(ordinals(found)):
        if number < partition(found):
            break
        pod = pods[f"{name}-{number}"]
        if revision(pod) != update and not is_leaving(pod):
            return [Step("delete", f"{name}-{number}", number)]
        if is_leaving(pod) or not serves(found, pod, now):
            break
    return []


def described(
    found: Object, pods: list[Object], current: str, update: str, collisions: int, now: float
) -> dict[str, Any]:
    """The status. A rollout that is done makes the newest revision the current one."""
    there = [pod for pod in pods if pod.get("status", {}).get("phase")]
    staying = [pod for pod in there if not is_leaving(pod)]
    ready = [pod for pod in there if serves({"spec": {}}, pod, now)]
    updated = sum(revision(pod) == update for pod in staying)
    if is_rolling(found) and updated == len(there) == len(ready) and (
        updated == len(ordinals(found))
    ):  # fmt: skip
        current = update
    status = {
        "observedGeneration": found["metadata"].get("generation", 0),
        "replicas": len(there),
        "readyReplicas": len(ready),
        "availableReplicas": sum(serves(found, pod, now) for pod in there),
        "currentReplicas": sum(revision(pod) == current for pod in staying),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    }
    required = ("replicas", "availableReplicas", "collisionCount")
    return {name: value for name, value in status.items() if value or name in required}
