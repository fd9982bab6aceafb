"""Turns a Deployment and its ReplicaSets into the Deployment's status. Pure.

Reasons and messages are what ``kubectl rollout status`` and ``describe`` know from kubernetes'
pkg/controller/deployment (progress.go, sync.go).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers import rolling
from dockyard.cluster.controllers.common import condition, with_condition

NO_DEADLINE = 2**31 - 1
COMPLETE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"


def size(replica_set: Object) -> int:
    """What a set is asked for."""
    return int(replica_set["spec"].get("replicas", 1))


def counted(
    found: Object, new: Object | None, sets: Sequence[Object], stamp: str
) -> dict[str, Any]:
    """The numbers and the Available condition; all other conditions as they were."""
    spec, before = found["spec"], found.get("status", {})
    replicas = int(spec.get("replicas", 1))
    counts = {name: sum(each.get("status", {}).get(name, 0) for each in sets)
              for name in ("replicas", "readyReplicas", "availableReplicas")}  # fmt: skip
    wanted = sum(size(each) for each in sets)
    status: dict[str, Any] = {
        "observedGeneration": found["metadata"].get("generation", 0),
        **counts,
        "updatedReplicas": new.get("status", {}).get("replicas", 0) if new is not None else 0,
        "unavailableReplicas": max(0, wanted - counts["availableReplicas"]),
    }
    status = {name: value for name, value in status.items() if value}
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    status["conditions"] = [dict(each) for each in before.get("conditions") or ()]
    if counts["availableReplicas"] >= replicas - rolling.bounds(spec)[1]:
        with_condition(status, "Available", "True", "MinimumReplicasAvailable",
                       "Deployment has minimum availability.", stamp)  # fmt: skip
    else:
        with_condition(status, "Available", "False", "MinimumReplicasUnavailable",
                       "Deployment does not have minimum availability.", stamp)  # fmt: skip
    return status


def has_deadline(spec: Object) -> bool:
    """Whether anybody cares how long a rollout takes."""
    return bool(spec.get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def progressed(
    found: Object, new: Object | None, sets: Sequence[Object], now: float, stamp: str
) -> dict[str, Any]:
    """The status in the middle of a rollout: with Progressing and ReplicaFailure."""
    status, spec = counted(found, new, sets, stamp), found["spec"]
    before = condition(found, "Progressing")
    if not has_deadline(spec):
        _without(status, "Progressing")
    elif not (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and before.get("reason") == COMPLETE
    ):
        _progress(found, new, status, before, now, stamp)
    failures = [c for each in ([new] if new is not None else []) + list(sets)
                for c in each.get("status", {}).get("conditions") or ()
                if c["type"] == "ReplicaFailure"]  # fmt: skip
    if failures:
        with_condition(status, "ReplicaFailure", failures[0]["status"], failures[0]["reason"],
                       failures[0]["message"], stamp)  # fmt: skip
    else:
        _without(status, "ReplicaFailure")
    return status


def _progress(
    found: Object, new: Object | None, status: dict[str, Any], before: Object, now: float,
    stamp: str,
) -> None:  # fmt: skip
    what = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else (
        f'Deployment "{found["metadata"]["name"]}"'
    )  # fmt: skip
    if is_complete(found, status):
        with_condition(status, "Progressing", "True", COMPLETE,
                       f"{what} has successfully progressed.", stamp)  # fmt: skip
    elif _has_moved(found.get("status", {}), status):
        since = stamp
        if before.get("status") == "True":
            since = before["lastTransitionTime"]
        _without(status, "Progressing")
        status["conditions"].append({
            "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
            "message": f"{what} is progressing.", "lastUpdateTime": stamp,
            "lastTransitionTime": since,
        })  # fmt: skip
    elif before and seconds_left(found, now) <= 0:
        with_condition(status, "Progressing", "False", TIMED_OUT,
                       f"{what} has timed out progressing.", stamp)  # fmt: skip


def is_complete(found: Object, status: Object) -> bool:
    """Every pod is of the newest template and available, and no other is there."""
    replicas = int(found["spec"].get("replicas", 1))
    counts = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(name, 0) == replicas for name in counts)


def _has_moved(before: Object, after: Object) -> bool:
    def old(status: Object) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return old(after) < old(before) or any(
        after.get(name, 0) > before.get(name, 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def seconds_left(found: Object, now: float) -> float:
    """Until a rollout that makes no progress has timed out."""
    since = parse_stamp(condition(found, "Progressing")["lastUpdateTime"])
    return since + float(found["spec"]["progressDeadlineSeconds"]) - now


def announced(found: Object, reason: str, message: str, value: str, stamp: str) -> dict[str, Any]:
    """The status with another Progressing condition."""
    status = copy_of(found.get("status", {}))
    with_condition(status, "Progressing", value, reason, message, stamp)
    return status


def pause_condition(found: Object) -> tuple[str, str] | None:
    """(reason, message) of a Deployment that was paused or resumed just now."""
    if not has_deadline(found["spec"]):
        return None
    reason = condition(found, "Progressing").get("reason")
    paused = bool(found["spec"].get("paused"))
    if reason == TIMED_OUT or paused == (reason == PAUSED):
        return None
    return (PAUSED, "Deployment is paused") if paused else (RESUMED, "Deployment is resumed")


def _without(status: dict[str, Any], kind: str) -> None:
    status["conditions"] = [each for each in status["conditions"] if each["type"] != kind]
