"""Turns what is observed of a container into its entry in a pod's status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.base.aio.now import stamp
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.observed import Observed
from dockyard.cluster.kubelet.plan import should_start
from dockyard.cluster.kubelet.verdicts import PREFIX, Verdicts
from dockyard.interfaces.cri import EXITED, RUNNING, ContainerStatus

LOST = {
    "exitCode": 137, "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was deleted.  "
               "The container used to be Running",
}  # fmt: skip
"""The end of a container that ran when it was last heard of, and that the runtime does not know."""
Waiting = Mapping[str, tuple[str, str]]
"""Container name -> reason and message of its last failed try to start."""


def container_status(
    pod: Object,
    spec: Object,
    observed: Observed,
    verdicts: Verdicts,
    waiting: Waiting,
    *,
    init: bool,
) -> dict[str, Any]:
    """One entry of ``containerStatuses`` or ``initContainerStatuses``."""
    name = spec["name"]
    newest = observed.newest(name)
    before = _before(pod, name, init)
    found: dict[str, Any] = {
        "name": name,
        "state": {},
        "lastState": {},
        "ready": False,
        "restartCount": newest.attempt if newest else before.get("restartCount", 0),
        "image": newest.image if newest else spec.get("image", ""),
        "imageID": newest.image_ref if newest else "",
    }
    if newest is not None:
        found["containerID"] = f"{PREFIX}{newest.id}"
    found["started"] = verdicts.is_started(spec, newest)
    older = next((each for each in observed.containers.get(name, ())[1:] if each.state == EXITED),
                 None)  # fmt: skip
    if newest is None and before:
        state = before.get("state", {})
        if "terminated" in state and name not in waiting:
            return dict(before)
        found["lastState"] = dict(before.get("lastState") or {})
        if "terminated" in state:
            found["lastState"] = {"terminated": state["terminated"]}
        elif "running" in state:
            found["lastState"] = {"terminated": LOST}
            if "deletionTimestamp" not in pod["metadata"]:
                found["restartCount"] += 1
    elif older is not None:
        found["lastState"] = {"terminated": terminated(older)}
    elif newest is not None and newest.attempt:  # what the runtime has forgotten since
        found["lastState"] = dict(before.get("lastState") or {})
    found["state"] = _state(pod, newest, waiting.get(name))
    if newest is not None and newest.state == EXITED and "waiting" in found["state"]:
        found["lastState"] = {"terminated": terminated(newest)}
    if init:
        found["ready"] = newest is not None and newest.state == EXITED and newest.exit_code == 0
    else:
        found["ready"] = verdicts.is_ready(spec, newest)
    return found


def _before(pod: Object, name: str, init: bool) -> Object:
    """What the status says of a container that the runtime has forgotten."""
    section = "initContainerStatuses" if init else "containerStatuses"
    for each in pod.get("status", {}).get(section) or ():
        if each["name"] == name:
            found: Object = each
            return found
    return {}


def _state(
    pod: Object, newest: ContainerStatus | None, waiting: tuple[str, str] | None
) -> dict[str, Any]:
    if newest is not None and newest.state == RUNNING:
        return {"running": {"startedAt": stamp(newest.started_at)}}
    over = newest is not None and newest.state == EXITED
    if newest is not None and over and (waiting is None or not should_start(pod, newest)):
        return {"terminated": terminated(newest)}
    if waiting is None:
        initializing = bool(pod["spec"].get("initContainers"))
        return {"waiting": {"reason": "PodInitializing" if initializing else "ContainerCreating"}}
    reason, message = waiting
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(status: ContainerStatus) -> dict[str, Any]:
    """How a container ended."""
    found: dict[str, Any] = {
        "exitCode": status.exit_code,
        "reason": status.reason or ("Error" if status.exit_code else "Completed"),
        "startedAt": stamp(status.started_at),
        "finishedAt": stamp(status.finished_at),
        "containerID": f"{PREFIX}{status.id}",
    }
    if status.message:
        found["message"] = status.message
    return found
