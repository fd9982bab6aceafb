"""Probes, hooks and deadlines in the whole kubelet."""

from pathlib import Path

import pytest

from dockyard.cluster.client.resources import PODS
from dockyard.interfaces import cri
from helpers.kubelets import Place, with_kubelet


def test_a_liveness_probe_that_fails_restarts_its_container(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 5, "failureThreshold": 3,
                 "terminationGracePeriodSeconds": 7}  # fmt: skip
        container = {"name": "c", "image": "nginx:1", "livenessProbe": probe}
        await place.create(containers=[container], restartPolicy="OnFailure")
        place.cri.answers["alive",] = cri.ExecResult(b"", b"gone wrong", 1)
        place.cri.last_words["c"] = 0
        await place.clock.advance(9.9)
        assert place.cri.running() == ["c/0"]
        await place.clock.advance(5.2)
        assert "stop c/0 7" in place.cri.calls
        # although it ended well, and the policy is OnFailure: the probe wants it to run
        assert place.cri.running() == ["c/1"]
        events = await place.events()
        assert ("Warning", "Unhealthy", "Liveness probe failed: gone wrong") in events
        assert ("Normal", "Killing", "Container c failed liveness probe, will be restarted"
                ) in events  # fmt: skip

    with_kubelet(tmp_path, test)


def test_a_liveness_probe_that_fails_for_good(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 1}
        container = {"name": "c", "image": "nginx:1", "livenessProbe": probe}
        place.cri.answers["alive",] = cri.ExecResult(b"", b"", 1)
        await place.create(containers=[container], restartPolicy="Never")
        await place.clock.advance(1)
        assert (await place.status())["phase"] == "Failed"
        assert ("Normal", "Killing", "Container c failed liveness probe") in await place.events()

    with_kubelet(tmp_path, test)


def test_readiness_decides_who_serves(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        probe = {"exec": {"command": ["ready"]}, "periodSeconds": 10}
        container = {"name": "c", "image": "nginx:1", "readinessProbe": probe}
        place.cri.answers["ready",] = cri.ExecResult(b"not yet", b"", 1)
        await place.create(containers=[container])
        status = await place.status()
        assert status["phase"] == "Running"
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"], ready["message"]) == (
            "False", "ContainersNotReady", "containers with unready status: [c]",
        )  # fmt: skip
        del place.cri.answers["ready",]
        await place.clock.advance(10)
        ready = next(c for c in (await place.status())["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-01T00:00:10Z")
        place.cri.answers["ready",] = cri.ExecResult(b"", b"", 1)
        await place.clock.advance(29)
        assert (await place.conditions())["Ready"] == "True"  # three failures, not fewer
        await place.clock.advance(1)
        assert (await place.conditions())["Ready"] == "False"
        assert place.cri.running() == ["c/0"]

    with_kubelet(tmp_path, test)


def test_readiness_gates_are_somebody_elses(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create(readinessGates=[{"conditionType": "example.org/balanced"}])
        ready = next(c for c in (await place.status())["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"], ready["message"]) == (
            "False", "ReadinessGatesNotReady",
            'corresponding condition of pod readiness gate "example.org/balanced" does not exist.',
        )  # fmt: skip
        conditions = (await place.status())["conditions"]
        gate = {"type": "example.org/balanced", "status": "True"}
        patch = {"status": {"conditions": [*conditions, gate]}}
        await place.client.patch(PODS, "web", patch, "default", "status")
        await place.clock.settle()
        conditions = await place.conditions()
        assert (conditions["Ready"], conditions["example.org/balanced"]) == ("True", "True")

    with_kubelet(tmp_path, test)


def test_a_pre_stop_hook_has_part_of_the_grace(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.takes["drain",] = 4
        hook = {"preStop": {"exec": {"command": ["drain"]}}}
        await place.create(containers=[{"name": "c", "image": "nginx:1", "lifecycle": hook}])
        await place.delete(grace=10)
        await place.clock.advance(3.9)
        assert place.cri.running() == ["c/0"]
        await place.clock.advance(0.2)
        assert "stop c/0 6" in place.cri.calls
        assert await place.is_gone()

    with_kubelet(tmp_path, test)


@pytest.mark.parametrize("seconds", [60, 0])
def test_a_pre_stop_hook_that_fails_or_takes_too_long(tmp_path: Path, seconds: float) -> None:
    async def test(place: Place) -> None:
        place.cri.takes["drain",] = seconds
        place.cri.answers["drain",] = cri.ExecResult(b"", b"", 1)
        hook = {"preStop": {"exec": {"command": ["drain"]}}}
        await place.create(containers=[{"name": "c", "image": "nginx:1", "lifecycle": hook}])
        await place.delete(grace=10)
        await place.clock.advance(10.1)
        assert ("stop c/0 2" if seconds else "stop c/0 10") in place.cri.calls
        assert await place.is_gone()
        failed = ("Warning", "FailedPreStopHook", "PreStopHook failed") in await place.events()
        assert failed is not bool(seconds)

    with_kubelet(tmp_path, test)


def test_a_post_start_hook_that_fails_kills_its_container(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.answers["warm",] = cri.ExecResult(b"", b"cold", 1)
        hook = {"postStart": {"exec": {"command": ["warm"]}}}
        await place.create(containers=[{"name": "c", "image": "nginx:1", "lifecycle": hook}])
        events = await place.events()
        assert ("Warning", "FailedPostStartHook", "PostStartHook failed") in events
        assert ("Normal", "Killing", "FailedPostStartHook") in events
        assert (await place.waits())[0] == "CrashLoopBackOff"
        assert place.cri.running() == []

    with_kubelet(tmp_path, test)


def test_an_active_deadline_ends_the_pod(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create(activeDeadlineSeconds=45)
        await place.clock.advance(44)
        assert place.cri.running() == ["c/0"]
        await place.clock.advance(1)
        status = await place.status()
        assert (status["phase"], status["reason"], status["message"]) == (
            "Failed", "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
        )  # fmt: skip
        assert place.cri.running() == []

    with_kubelet(tmp_path, test)


def test_a_stop_that_takes_long_does_not_keep_the_loop_busy(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 1}
        containers = [{"name": "c", "image": "nginx:1", "livenessProbe": probe},
                      {"name": "d", "image": "nginx:1"}]  # fmt: skip
        await place.create(containers=containers)
        place.cri.stubborn.add("c")
        place.cri.answers["alive",] = cri.ExecResult(b"", b"", 1)
        await place.clock.advance(2)
        del place.cri.answers["alive",]
        place.cri.exit("d", 1)  # meanwhile; it is looked at when the stop is over
        await place.clock.advance(31)
        assert place.cri.running() == ["c/1", "d/1"]

    with_kubelet(tmp_path, test)


def test_what_could_not_be_stopped_is_not_started_again_beside_itself(tmp_path: Path) -> None:
    """G17: a hung runtime; never two of one container."""

    async def test(place: Place) -> None:
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 1}
        await place.create(containers=[{"name": "c", "image": "nginx:1", "livenessProbe": probe}])
        place.cri.failing["stop"] = cri.SandboxFailed("the engine does not answer")
        place.cri.answers["alive",] = cri.ExecResult(b"", b"", 1)
        await place.clock.advance(200)
        assert place.cri.running() == ["c/0"]
        del place.cri.failing["stop"]
        del place.cri.answers["alive",]
        await place.clock.advance(61)
        assert place.cri.running() == ["c/1"]

    with_kubelet(tmp_path, test)


def test_a_change_in_the_middle_of_a_slow_stop_is_not_forgotten(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.have("nginx:2")
        probe = {"exec": {"command": ["alive"]}, "periodSeconds": 1, "failureThreshold": 1}
        containers = [{"name": "c", "image": "nginx:1", "livenessProbe": probe},
                      {"name": "d", "image": "nginx:1"}]  # fmt: skip
        await place.create(containers=containers)
        place.cri.stubborn.add("c")
        place.cri.answers["alive",] = cri.ExecResult(b"", b"", 1)
        await place.clock.advance(2)
        del place.cri.answers["alive",]
        patch = [{"op": "replace", "path": "/spec/containers/1/image", "value": "nginx:2"}]
        await place.client.patch(PODS, "web", patch, "default")
        await place.clock.advance(30)  # the stop is over by now, and no resync has come
        assert place.cri.newest("d").image == "nginx:2"

    with_kubelet(tmp_path, test)
