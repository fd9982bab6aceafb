"""Phases, conditions and container states: the kubelet's getPhase, generate.go and status merge."""

from typing import Any

import pytest

from dockyard.cluster.kubelet.observed import Observed
from dockyard.cluster.kubelet.status import (
    Place,
    Rejected,
    merged,
    phase_of,
    pod_status,
    rejected_status,
    restarts_of,
    significant,
)
from dockyard.cluster.kubelet.verdicts import Verdicts
from dockyard.interfaces.cri import CREATED, NOT_READY
from helpers.observations import pod, ran, sandbox, seen

NOW = "2026-01-01T00:00:00Z"
RUNS: dict[str, Any] = {"state": {"running": {}}, "lastState": {}}
WAITS: dict[str, Any] = {"state": {"waiting": {}}, "lastState": {}}


def ended(code: int) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code}}, "lastState": {}}


def crashed(code: int) -> dict[str, Any]:
    return {"state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": code}}}


def status(wish: Any, observed: Observed, **more: Any) -> dict[str, Any]:
    waiting = more.pop("waiting", {})
    return pod_status(
        wish, observed, more.pop("verdicts", Verdicts()), waiting,
        Place("10.0.0.1", "192.0.2.1"), NOW, **more,
    )  # fmt: skip


def condition(found: dict[str, Any], kind: str) -> tuple[str, str, str]:
    each = next(each for each in found["conditions"] if each["type"] == kind)
    return each["status"], each.get("reason", ""), each.get("message", "")


@pytest.mark.parametrize(
    ("policy", "init", "main", "phase"),
    [
        ("Always", [], [WAITS], "Pending"),
        ("Always", [], [RUNS], "Running"),
        ("Always", [], [RUNS, WAITS], "Pending"),
        ("Always", [], [RUNS, ended(1)], "Running"),
        ("Always", [], [ended(0)], "Running"),
        ("Always", [], [ended(1)], "Running"),
        ("Always", [], [crashed(1)], "Running"),
        ("OnFailure", [], [ended(0), ended(0)], "Succeeded"),
        ("OnFailure", [], [ended(0), ended(1)], "Running"),
        ("OnFailure", [], [ended(0), crashed(1)], "Running"),
        ("OnFailure", [], [ended(0), RUNS], "Running"),
        ("Never", [], [ended(0), ended(0)], "Succeeded"),
        ("Never", [], [ended(0), ended(2)], "Failed"),
        ("Never", [], [ended(2), RUNS], "Running"),
        ("Never", [], [crashed(137)], "Failed"),
        ("Always", [RUNS], [WAITS], "Pending"),
        ("Always", [WAITS], [WAITS], "Pending"),
        ("Always", [ended(1)], [WAITS], "Pending"),
        ("Always", [crashed(1)], [WAITS], "Pending"),
        ("Never", [ended(1)], [WAITS], "Failed"),
        ("Never", [ended(0), RUNS], [WAITS], "Pending"),
        ("Never", [ended(0)], [ended(0)], "Succeeded"),
    ],
)
def test_phases(
    policy: str, init: list[dict[str, Any]], main: list[dict[str, Any]], phase: str
) -> None:
    assert phase_of(pod(policy=policy), init, main) == phase


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_end_is_never_left_again(phase: str) -> None:
    assert phase_of({**pod(), "status": {"phase": phase}}, [], [RUNS]) == phase


@pytest.mark.parametrize(
    ("main", "phase"),
    [([ended(0)], "Succeeded"), ([ended(143)], "Failed"), ([ended(0), ended(1)], "Failed"),
     ([WAITS], "Failed"), ([], "Failed")],
)  # fmt: skip
def test_what_a_deleted_pod_ends_as(main: list[dict[str, Any]], phase: str) -> None:
    assert phase_of(pod(), [], main, ended=True) == phase


def test_before_anything_runs() -> None:
    found = status(pod(), Observed())
    assert found["phase"] == "Pending"
    assert found["containerStatuses"] == [
        {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {},
         "ready": False, "started": False, "restartCount": 0, "image": "nginx:1", "imageID": ""}
    ]  # fmt: skip
    assert condition(found, "PodReadyToStartContainers") == ("False", "", "")
    assert condition(found, "Initialized") == ("True", "", "")
    unready = ("False", "ContainersNotReady", "containers with unready status: [c]")
    assert condition(found, "Ready") == condition(found, "ContainersReady") == unready
    assert condition(found, "PodScheduled") == ("True", "", "")
    assert (found["hostIP"], found["hostIPs"]) == ("192.0.2.1", [{"ip": "192.0.2.1"}])
    assert (found["startTime"], found["qosClass"]) == (NOW, "BestEffort")


def test_what_runs() -> None:
    found = status(pod("a", "b"), seen(ran("a", 2), ran("b", 0, 1)))
    assert found["phase"] == "Running"
    first, second = found["containerStatuses"]
    assert first["state"] == {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
    assert (first["ready"], first["started"], first["restartCount"]) == (True, True, 2)
    assert first["containerID"] == "dockyard://a2"
    assert second["state"] == {
        "terminated": {"exitCode": 1, "reason": "Error", "startedAt": "1970-01-01T00:00:01Z",
                       "finishedAt": "1970-01-01T00:00:05Z", "containerID": "dockyard://b0"}
    }  # fmt: skip
    assert condition(found, "Ready")[2] == "containers with unready status: [b]"


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (1, "Error"), (137, "Error")])
def test_why_it_ended_where_the_runtime_does_not_say(code: int, reason: str) -> None:
    found = status(pod(policy="Never"), seen(ran("c", 0, code)))
    assert found["containerStatuses"][0]["state"]["terminated"]["reason"] == reason


def test_one_that_waits_to_run_again_shows_its_last_end() -> None:
    waiting = {"c": ("CrashLoopBackOff", "back-off 10s restarting failed container=c pod=p_n(u)")}
    found = status(pod(), seen(ran("c", 2, 3), ran("c", 1, 4)), waiting=waiting)
    entry = found["containerStatuses"][0]
    assert entry["state"]["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 10s restarting failed container=c pod=p_n(u)",
    }
    assert entry["lastState"]["terminated"]["exitCode"] == 3
    assert entry["restartCount"] == 2
    running = status(pod(), seen(ran("c", 3), ran("c", 2, 3)))["containerStatuses"][0]
    assert running["lastState"]["terminated"]["exitCode"] == 3


def test_a_reason_to_wait_does_not_hide_an_end_for_good() -> None:
    waiting = {"c": ("ErrImagePull", "no")}
    found = status(pod(policy="Never"), seen(ran("c", 0, 1)), waiting=waiting)
    assert "terminated" in found["containerStatuses"][0]["state"]


def test_one_that_was_made_and_has_not_started_waits() -> None:
    waiting = {"c": ("RunContainerError", "exec: no such file")}
    found = status(pod(), seen(ran("c", state=CREATED)), waiting=waiting)
    assert found["containerStatuses"][0]["state"]["waiting"]["reason"] == "RunContainerError"
    assert found["phase"] == "Pending"


def test_one_that_the_runtime_does_not_know_any_more() -> None:
    """kubelet_pods.go: convertToAPIContainerStatuses, ContainerStatusUnknown."""
    wish = {**pod(), "status": status(pod(), seen(ran("c", 4)))}
    lost = status(wish, Observed())
    entry = lost["containerStatuses"][0]
    assert entry["lastState"]["terminated"] == {
        "exitCode": 137, "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was deleted.  "
                   "The container used to be Running",
    }  # fmt: skip
    assert (entry["restartCount"], lost["phase"]) == (5, "Running")
    assert restarts_of(lost) == {"c": 5}
    again = status({**wish, "status": lost}, Observed())
    assert again["containerStatuses"] == lost["containerStatuses"]  # counted once
    never = {**pod(policy="Never"), "status": wish["status"]}
    assert status(never, Observed())["phase"] == "Failed"  # it does not run twice


def test_an_end_that_the_runtime_has_forgotten_stays() -> None:
    wish: Any = pod("a", "b", policy="OnFailure")
    before = status(wish, seen(ran("a", 0, 0), ran("b")))
    after = status({**wish, "status": before}, seen(ran("b")))
    assert after["containerStatuses"][0] == before["containerStatuses"][0]


def test_restart_counts_of_a_status() -> None:
    found = status(pod("a", "b", init=("i",)), seen(ran("i", 1, 0), ran("a", 6)))
    assert restarts_of(found) == {"i": 2, "a": 7, "b": 0}


def test_init_containers() -> None:
    found = status(pod("c", init=("i", "j")), seen(ran("i", 0, 0), ran("j")))
    first, second = found["initContainerStatuses"]
    assert (first["ready"], second["ready"]) == (True, False)
    assert found["containerStatuses"][0]["state"]["waiting"] == {"reason": "PodInitializing"}
    assert condition(found, "Initialized") == (
        "False", "ContainersNotInitialized", "containers with incomplete status: [j]",
    )  # fmt: skip
    done = status(pod("c", init=("i",)), seen(ran("i", 0, 0), ran("c")))
    assert condition(done, "Initialized") == ("True", "", "")


@pytest.mark.parametrize(
    ("code", "reason", "initialized"),
    [(0, "PodCompleted", "PodCompleted"), (1, "PodFailed", "")],
)
def test_conditions_of_a_pod_that_has_ended(code: int, reason: str, initialized: str) -> None:
    found = status(pod(policy="Never"), seen(ran("c", 0, code)))
    assert condition(found, "Ready") == condition(found, "ContainersReady") == ("False", reason, "")
    assert condition(found, "Initialized") == ("True", initialized, "")
    assert found["podIP"] == "10.0.0.1"


def test_the_time_of_a_condition_changes_with_its_value_only() -> None:
    before = status(pod(), seen(ran("c")))
    for each in before["conditions"]:
        each["lastTransitionTime"] = "2025-12-31T00:00:00Z"
    after = status({**pod(), "status": before}, seen(ran("c", 0, 1)))
    times = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert times["PodScheduled"] == times["Initialized"] == "2025-12-31T00:00:00Z"
    assert times["Ready"] == times["ContainersReady"] == NOW


def test_readiness_gates() -> None:
    wish = pod()
    wish["spec"]["readinessGates"] = [{"conditionType": "a"}, {"conditionType": "b"}]
    wish["status"] = {"conditions": [{"type": "a", "status": "False"}]}
    found = status(wish, seen(ran("c")))
    assert condition(found, "ContainersReady") == ("True", "", "")
    assert condition(found, "Ready") == (
        "False", "ReadinessGatesNotReady",
        'the status of pod readiness gate "a" is not "True", but False, '
        'corresponding condition of pod readiness gate "b" does not exist.',
    )  # fmt: skip
    assert condition(found, "a")[0] == "False"  # it is not ours to change


def test_what_others_said_is_kept_and_ours_is_not_taken_back() -> None:
    ours = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"},
                                               {"type": "old", "status": "True"}]}  # fmt: skip
    stored = {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"},
                                                 {"type": "x", "status": "True"}]}  # fmt: skip
    assert merged(ours, stored) == {
        "phase": "Running",
        "conditions": [{"type": "x", "status": "True"}, {"type": "Ready", "status": "True"}],
    }
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
    assert merged(ours, evicted) == {
        "conditions": [{"type": "Ready", "status": "True"}], **evicted,
    }  # fmt: skip


def test_the_reason_of_an_end_stays() -> None:
    wish = pod()
    wish["status"] = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    found = status(wish, seen(ran("c", 0, 137)))
    assert (found["phase"], found["reason"], found["message"]) == (
        "Failed", "Evicted", "low on memory",
    )  # fmt: skip
    failed = status(pod(), seen(ran("c")), failed=Rejected("DeadlineExceeded", "too long"))
    assert (failed["phase"], failed["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_that_the_node_refuses() -> None:
    found = rejected_status(pod(), Rejected("OutOfcpu", "no"), NOW)
    assert found == {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: no",
                     "startTime": NOW, "qosClass": "BestEffort"}  # fmt: skip


def test_a_sandbox_that_is_gone() -> None:
    wish = {**pod(), "status": status(pod(), seen(ran("c")))}
    found = pod_status(
        wish, seen(ran("c", 0, 137), boxes=(sandbox(0, NOT_READY),)), Verdicts(), {},
        Place("", "192.0.2.1"), NOW,
    )  # fmt: skip
    assert "podIP" not in found
    assert condition(found, "PodReadyToStartContainers") == ("False", "", "")


def test_what_is_a_reason_to_look() -> None:
    wish = pod(labels={"a": "b"})
    same = {**wish, "status": status(wish, seen(ran("c")))}
    same["metadata"] = {**same["metadata"], "resourceVersion": "9", "managedFields": []}
    assert significant(same) == significant(wish)
    for change in ({"labels": {}}, {"annotations": {"x": "y"}}, {"deletionTimestamp": NOW},
                   {"deletionGracePeriodSeconds": 1}):  # fmt: skip
        assert significant(pod(**change)) != significant(wish)
    assert significant({**wish, "status": {"phase": "Failed"}}) != significant(wish)
    gate = {"conditions": [{"type": "x", "status": "True"}]}
    assert significant({**wish, "status": gate}) != significant(wish)
