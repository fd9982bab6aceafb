"""Turns what is known of a pod into its status: phase, conditions, addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kinds.pod import qos
from dockyard.cluster.kubelet.containerstatus import Waiting, container_status
from dockyard.cluster.kubelet.observed import Observed
from dockyard.cluster.kubelet.verdicts import Verdicts

ENDED = ("Succeeded", "Failed")
OWN = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
"""Conditions that the kubelet writes; the others are somebody else's."""


class Place(NamedTuple):
    """Addresses of a pod."""

    pod_ip: str
    host_ip: str


class Rejected(NamedTuple):
    """Why this node does not run a pod at all."""

    reason: str
    message: str


def pod_status(
    pod: Object,
    observed: Observed,
    verdicts: Verdicts,
    waiting: Waiting,
    place: Place,
    now: str,
    failed: Rejected | None = None,
) -> dict[str, Any]:
    """The whole status; conditions keep the time of their last change.

    ``failed``: the node has ended it, for this reason.
    """
    spec, before = pod["spec"], pod.get("status", {})
    init = [container_status(pod, each, observed, verdicts, waiting, init=True)
            for each in spec.get("initContainers") or ()]  # fmt: skip
    main = [container_status(pod, each, observed, verdicts, waiting, init=False)
            for each in spec["containers"]]  # fmt: skip
    ended = "deletionTimestamp" in pod["metadata"] and not observed.running
    phase = "Failed" if failed else phase_of(pod, init, main, ended=ended)
    found: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(pod, observed, phase, init, main, now),
        "hostIP": place.host_ip,
        "hostIPs": [{"ip": place.host_ip}],
        "startTime": before.get("startTime", now),
        "containerStatuses": main,
        "qosClass": before.get("qosClass") or qos.of(spec),
    }
    if init:
        found["initContainerStatuses"] = init
    if failed:
        found |= failed._asdict()
    elif phase == before.get("phase"):
        found |= {name: before[name] for name in ("reason", "message") if before.get(name)}
    over = phase in ENDED or "deletionTimestamp" in pod["metadata"]
    address = place.pod_ip or (before.get("podIP", "") if over else "")
    if address:
        found |= {"podIP": address, "podIPs": [{"ip": address}]}
    return found


def rejected_status(pod: Object, why: Rejected, now: str) -> dict[str, Any]:
    """A pod that this node will never run."""
    before = pod.get("status", {})
    return {
        **before,
        "phase": "Failed",
        "reason": why.reason,
        "message": f"Pod was rejected: {why.message}",
        "startTime": before.get("startTime", now),
        "qosClass": before.get("qosClass") or qos.of(pod["spec"]),
    }


def merged(ours: Object, stored: Object) -> Object:
    """The status that we set last, with what others have said of the pod since."""
    if ours is stored:
        return ours
    others = [each for each in stored.get("conditions") or () if each["type"] not in OWN]
    own = [each for each in ours.get("conditions") or () if each["type"] in OWN]
    found = {**ours, "conditions": [*others, *own]}
    if stored.get("phase") in ENDED and ours.get("phase") not in ENDED:
        found |= {name: stored[name] for name in ("phase", "reason", "message") if name in stored}
    return found


def restarts_of(status: Object) -> dict[str, int]:
    """Container name -> the attempt that comes next, by what a status says."""
    found: dict[str, int] = {}
    for section in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(section) or ():
            ran = 1 if each.get("containerID") else 0  # without an id its loss is counted already
            found[each["name"]] = int(each.get("restartCount", 0)) + ran
    return found


def significant(pod: Object) -> tuple[Any, ...]:
    """What of a pod is a reason to look at it again: all but what the kubelet itself writes."""
    metadata, status = pod["metadata"], pod.get("status", {})
    return (
        pod["spec"], metadata.get("labels"), metadata.get("annotations"),
        metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds"),
        status.get("phase") if status.get("phase") in ENDED else None,
        [each for each in status.get("conditions") or () if each["type"] not in OWN],
    )  # fmt: skip


def phase_of(
    pod: Object, init: Iterable[Object], main: Iterable[Object], *, ended: bool = False
) -> str:
    """Pending, Running, Succeeded or Failed, by the container statuses ("Pod phase").

    ``ended``: it is being deleted, and nothing of it runs any more.
    """
    statuses = list(main)
    policy = pod["spec"].get("restartPolicy", "Always")
    before = pod.get("status", {}).get("phase")
    if before in ENDED:
        return str(before)
    exits = [_exit(each) for each in statuses]
    if ended:
        good = bool(exits) and all(code == 0 for code in exits)
        return "Succeeded" if good else "Failed"
    for each in init:
        code = _exit(each)
        if code == 0 and "terminated" in each["state"]:
            continue
        failed = code is not None and "terminated" in each["state"]
        return "Failed" if failed and policy == "Never" else "Pending"
    running = sum("running" in each["state"] for each in statuses)
    waiting = sum("waiting" in each["state"] and _exit(each) is None for each in statuses)
    if waiting:
        return "Pending"
    if running or policy == "Always":
        return "Running"
    if all(code == 0 for code in exits):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _exit(status: Object) -> int | None:
    """The exit code of a container's last run, if it is over."""
    if "running" in status["state"]:
        return None
    over = status["state"].get("terminated") or status["lastState"].get("terminated")
    return int(over["exitCode"]) if over else None


def _conditions(
    pod: Object, observed: Observed, phase: str, init: Sequence[Object], main: Sequence[Object],
    now: str,
) -> list[dict[str, Any]]:  # fmt: skip
    ended = phase in ENDED
    uninitialized = [each["name"] for each in init if not each["ready"]]
    unready = [each["name"] for each in main if not each["ready"]]
    initialized = not uninitialized or any(
        "running" in each["state"] or "terminated" in each["state"] for each in main
    )
    if phase == "Succeeded":
        why = ("PodCompleted", "")
    elif phase == "Failed":
        why = ("PodFailed", "")
    else:
        why = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    ready = not ended and not unready and initialized
    gates = _gates(pod) if ready else ("", "")
    init_why = ("", "") if initialized else (
        "ContainersNotInitialized",
        f"containers with incomplete status: [{' '.join(uninitialized)}]",
    )  # fmt: skip
    init_why = ("PodCompleted", "") if phase == "Succeeded" else init_why
    wanted: list[tuple[str, bool, tuple[str, str]]] = [
        ("PodReadyToStartContainers", observed.sandbox is not None and not ended, ("", "")),
        ("Initialized", initialized, init_why),
        ("Ready", ready and not gates[0], gates if ready else why),
        ("ContainersReady", ready, ("", "") if ready else why),
        ("PodScheduled", True, ("", "")),
    ]
    before = pod.get("status", {}).get("conditions") or ()
    old = {each["type"]: each for each in before}
    others = [dict(each) for each in before if each["type"] not in OWN]
    return [*others, *(_condition(*each, old.get(each[0]), now) for each in wanted)]


def _gates(pod: Object) -> tuple[str, str]:
    """``spec.readinessGates`` whose conditions are not true."""
    conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions") or ()}
    said: list[str] = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in conditions:
            said.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif conditions[kind] != "True":
            said.append(f'the status of pod readiness gate "{kind}" is not "True", '
                        f"but {conditions[kind]}")  # fmt: skip
    return ("ReadinessGatesNotReady", ", ".join(said)) if said else ("", "")


def _condition(
    kind: str, value: bool, why: tuple[str, str], before: Object | None, now: str
) -> dict[str, Any]:
    status = "True" if value else "False"
    same = before is not None and before["status"] == status
    since = before["lastTransitionTime"] if same and before is not None else now
    found: dict[str, Any] = {"type": kind, "status": status, "lastProbeTime": None,
                             "lastTransitionTime": since}  # fmt: skip
    reason, message = why
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found
