"""Turns what the runtime says of a pod's containers into the pod's status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dockyard.base.aio.now import stamp
from dockyard.cluster.client.transport import Object
from dockyard.interfaces.cri import CREATED, EXITED, RUNNING, ContainerStatus


@dataclass(slots=True)
class Known:
    """What the kubelet knows of one container of a pod."""

    attempts: list[ContainerStatus] = field(default_factory=list)
    """The newest first."""
    waiting: tuple[str, str] = ("ContainerCreating", "")
    """Reason and message while it does not run."""
    ready: bool = False
    started: bool = False

    @property
    def newest(self) -> ContainerStatus | None:
        return self.attempts[0] if self.attempts else None

    @property
    def restarts(self) -> int:
        return self.attempts[0].attempt if self.attempts else 0


def container_status(spec: Object, known: Known) -> dict[str, Any]:
    """One entry of ``containerStatuses``."""
    newest = known.newest
    found: dict[str, Any] = {
        "name": spec["name"],
        "image": newest.image if newest else spec.get("image", ""),
        "imageID": newest.image_ref if newest else "",
        "restartCount": known.restarts,
        "ready": known.ready and newest is not None and newest.state == RUNNING,
        "started": known.started and newest is not None and newest.state == RUNNING,
        "state": {},
        "lastState": {},
    }
    reason, message = known.waiting
    waiting = {"reason": reason, **({"message": message} if message else {})}
    if newest is None or newest.state == CREATED:
        found["state"] = {"waiting": waiting}
    elif newest.state == RUNNING:
        found["state"] = {"running": {"startedAt": stamp(newest.started_at)}}
    elif reason in ("CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull",
                    "CreateContainerConfigError", "RunContainerError"):  # fmt: skip
        found["state"] = {"waiting": waiting}
        found["lastState"] = {"terminated": terminated(newest)}
    else:
        found["state"] = {"terminated": terminated(newest)}
    if newest is not None:
        found["containerID"] = f"dockyard://{newest.id}"
        if not found["lastState"] and len(known.attempts) > 1:
            found["lastState"] = {"terminated": terminated(known.attempts[1])}
    return found


def terminated(status: ContainerStatus) -> dict[str, Any]:
    """How a container ended."""
    found: dict[str, Any] = {
        "exitCode": status.exit_code,
        "reason": status.reason or "Error",
        "startedAt": stamp(status.started_at),
        "finishedAt": stamp(status.finished_at),
        "containerID": f"dockyard://{status.id}",
    }
    if status.message:
        found["message"] = status.message
    return found


def phase_of(pod: Object, known: Mapping[str, Known]) -> str:
    """Pending, Running, Succeeded or Failed: pod-lifecycle of the documentation."""
    policy = pod["spec"].get("restartPolicy", "Always")
    newest = [known[c["name"]].newest for c in pod["spec"]["containers"]]
    if any(each is None or each.state == CREATED for each in newest):
        return (
            "Pending" if not any(each and each.state != CREATED for each in newest) else "Running"
        )
    running = [each for each in newest if each and each.state == RUNNING]
    if running or policy == "Always":
        return "Running"
    if all(each and each.exit_code == 0 for each in newest):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def pod_status(
    pod: Object,
    known: Mapping[str, Known],
    *,
    pod_ip: str,
    host_ip: str,
    sandbox: bool,
    now: str,
    phase: str = "",
) -> dict[str, Any]:
    """The whole status; conditions keep the time of their last change."""
    before = pod.get("status", {})
    phase = phase or phase_of(pod, known)
    statuses = [container_status(c, known[c["name"]]) for c in pod["spec"]["containers"]]
    ended = phase in ("Succeeded", "Failed")
    ready = not ended and all(each["ready"] for each in statuses)
    unready = [each["name"] for each in statuses if not each["ready"]]
    why = ("PodCompleted", "") if phase == "Succeeded" else (
        "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")  # fmt: skip
    conditions = [
        ("PodReadyToStartContainers", sandbox and not ended, ("", "")),
        ("Initialized", True, ("", "")),
        ("Ready", ready, ("", "") if ready else why),
        ("ContainersReady", ready, ("", "") if ready else why),
        ("PodScheduled", True, ("", "")),
    ]
    old = {each["type"]: each for each in before.get("conditions") or ()}
    found: dict[str, Any] = {
        "phase": phase,
        "conditions": [_condition(*each, old.get(each[0]), now) for each in conditions],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": before.get("startTime", now),
        "containerStatuses": statuses,
        "qosClass": before.get("qosClass") or qos_class(pod["spec"]),
    }
    if pod_ip:
        found |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    return found


def _condition(
    kind: str, value: bool, why: tuple[str, str], before: Object | None, now: str
) -> dict[str, Any]:
    status = "True" if value else "False"
    changed = before is None or before["status"] != status
    since = now if changed or before is None else before["lastTransitionTime"]
    found: dict[str, Any] = {"type": kind, "status": status, "lastProbeTime": None,
                             "lastTransitionTime": since}  # fmt: skip
    reason, message = why
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    sections = [c.get("resources", {}) for c in spec["containers"]]
    if not any(s.get("requests") or s.get("limits") for s in sections):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= (s.get("limits") or {}).keys()
        and all((s.get("requests") or {}).get(name, limit) == limit
                for name, limit in s["limits"].items())
        for s in sections
    )  # fmt: skip
    return "Guaranteed" if guaranteed else "Burstable"


def is_exited(known: Known) -> bool:
    """Whether the newest attempt has ended."""
    return known.newest is not None and known.newest.state == EXITED
