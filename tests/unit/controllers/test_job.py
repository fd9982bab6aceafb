"""Jobs: completions, failures, deadlines, suspension, indexes; pods counted once."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import JOBS, PODS
from dockyard.cluster.controllers.jobplan import (
    FINALIZER,
    INDEX,
    Numbers,
    format_indexes,
    parse_indexes,
    pause,
    verdict,
    wanted_active,
)
from helpers.controllers import Cluster, with_controllers

ALONE = ("job",)


@pytest.mark.parametrize(
    ("spec", "numbers", "expected"),
    [
        ({"parallelism": 2, "completions": 5}, Numbers(0, 0, 0), 2),
        ({"parallelism": 2, "completions": 5}, Numbers(1, 4, 0), 1),
        ({"parallelism": 2, "completions": 5}, Numbers(0, 5, 0), 0),
        ({"parallelism": 3, "completions": 2}, Numbers(0, 0, 9), 2),
        ({"parallelism": 3}, Numbers(0, 0, 0), 3),
        ({"parallelism": 3}, Numbers(2, 1, 0), 2),  # a work queue: nobody new after a success
        ({"parallelism": 0, "completions": 1}, Numbers(0, 0, 0), 0),
        ({"parallelism": 2, "completions": 5, "suspend": True}, Numbers(2, 0, 0), 0),
    ],
)
def test_how_many_run(spec: dict[str, Any], numbers: Numbers, expected: int) -> None:
    assert wanted_active(spec, numbers) == expected


@pytest.mark.parametrize(
    ("spec", "numbers", "reason"),
    [
        ({"completions": 2}, Numbers(1, 1, 0), ""),
        ({"completions": 2}, Numbers(1, 2, 0), "CompletionsReached"),
        ({"completions": 0}, Numbers(0, 0, 0), "CompletionsReached"),
        ({}, Numbers(2, 1, 0), ""),
        ({}, Numbers(0, 1, 0), "CompletionsReached"),
        ({"completions": 1, "backoffLimit": 0}, Numbers(0, 0, 1), "BackoffLimitExceeded"),
        ({"completions": 1, "backoffLimit": 2}, Numbers(0, 0, 2), ""),
        ({"completions": 1, "backoffLimit": 2}, Numbers(0, 0, 3), "BackoffLimitExceeded"),
        ({"completions": 1, "backoffLimit": 2}, Numbers(1, 0, 0, 0, 2), "BackoffLimitExceeded"),
        ({"completions": 1, "backoffLimit": 0}, Numbers(1, 0, 0, 0, 0), ""),
        ({"completions": 1, "activeDeadlineSeconds": 50}, Numbers(1, 0, 0), ""),
        ({"completions": 1, "activeDeadlineSeconds": 40}, Numbers(1, 0, 0), "DeadlineExceeded"),
        ({"completions": 1, "activeDeadlineSeconds": 40, "suspend": True}, Numbers(0, 0, 0), ""),
        ({"completions": 1, "podFailurePolicy": {"rules": []}}, Numbers(0, 0, 0), "NotImplemented"),
    ],
)
def test_how_it_ends(spec: dict[str, Any], numbers: Numbers, reason: str) -> None:
    job = {"spec": spec, "status": {"startTime": "1970-01-01T00:00:00Z"}}
    found = verdict(job, numbers, 45.0)
    assert (found.reason if found else "") == reason


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([], 0),
        ([(100.0, True)], 0),
        ([(100.0, False)], 10),
        ([(90.0, False), (100.0, False)], 20),
        ([(90.0, False), (95.0, True), (100.0, False)], 10),  # a success begins anew
        ([(100.0, False)] * 20, 360),
    ],
)
def test_failed_pods_are_replaced_later_and_later(
    ends: list[tuple[float, bool]], expected: float
) -> None:
    """ "An exponential back-off delay (10s, 20s, 40s ...) capped at six minutes"."""
    assert pause(ends, 100.0) == expected


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", []), ("0", [0]), ("0,1", [0, 1]), ("0-2", [0, 1, 2]), ("1,3-5,7", [1, 3, 4, 5, 7])],
)
def test_indexes(text: str, numbers: list[int]) -> None:
    assert parse_indexes(text) == set(numbers)
    assert format_indexes(reversed(numbers)) == text


def job(**spec: Any) -> dict[str, Any]:
    policy = spec.pop("restartPolicy", "Never")
    template = {"spec": {"containers": [{"name": "c", "image": "busybox:1"}],
                         "restartPolicy": policy}}  # fmt: skip
    return {"metadata": {"name": "load"}, "spec": {"template": template, **spec}}


async def status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.get(JOBS, "load"))["status"]
    return found


async def ended(cluster: Cluster) -> list[tuple[str, str, str]]:
    return [(each["type"], each["reason"], each["message"])
            for each in (await status(cluster)).get("conditions") or ()]  # fmt: skip


async def active(cluster: Cluster) -> list[str]:
    return [each["metadata"]["name"] for each in await cluster.pods()
            if each["status"].get("phase") not in ("Succeeded", "Failed")]  # fmt: skip


async def say(cluster: Cluster, phase: str, count: int = 1) -> None:
    """So many of the pods that run have ended."""
    for name in (await active(cluster))[:count]:
        await cluster.say(name, phase, ready=False)
        await cluster.settle()


def test_a_job_runs_to_its_end(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(completions=3, parallelism=2))
        pods = await cluster.pods()
        assert len(pods) == 2
        metadata = pods[0]["metadata"]
        assert metadata["name"].startswith("load-")
        assert metadata["labels"]["job-name"] == "load"
        assert metadata["labels"]["batch.kubernetes.io/job-name"] == "load"
        assert metadata["finalizers"] == [FINALIZER]
        await cluster.run_pods()
        found = await status(cluster)
        assert (found["active"], found["ready"], found["startTime"]) == (
            2, 2, "2026-01-01T00:00:00Z",
        )  # fmt: skip
        await cluster.clock.advance(60)
        await say(cluster, "Succeeded")
        assert len(await active(cluster)) == 2
        await say(cluster, "Succeeded")
        assert len(await active(cluster)) == 1
        await say(cluster, "Succeeded")
        found = await status(cluster)
        assert (found["succeeded"], found.get("active"), found["completionTime"]) == (
            3, None, "2026-01-01T00:01:00Z",
        )  # fmt: skip
        message = "Reached expected number of succeeded pods"
        assert await ended(cluster) == [
            ("SuccessCriteriaMet", "CompletionsReached", message),
            ("Complete", "CompletionsReached", message),
        ]
        assert (await cluster.events("load"))[-1] == ("Normal", "Completed", "Job completed")
        assert all("finalizers" not in each["metadata"] for each in await cluster.list(PODS))

    with_controllers(tmp_path, ALONE, test)


def test_pods_that_are_deleted_after_their_end_still_count(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(completions=2))
        (name,) = await active(cluster)
        await cluster.say(name, "Succeeded", ready=False)
        await cluster.settle()
        await cluster.delete(PODS, name)
        assert await cluster.is_gone(PODS, name)
        await say(cluster, "Succeeded")
        assert (await status(cluster))["succeeded"] == 2
        assert len(await cluster.list(PODS)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_a_pod_that_is_deleted_while_it_runs_has_failed(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job())
        (name,) = await active(cluster)
        await cluster.place_pod(name)
        await cluster.run_pods()
        await cluster.delete(PODS, name)
        await cluster.end_pods()
        assert (await status(cluster))["failed"] == 1
        assert await cluster.is_gone(PODS, name)
        await cluster.clock.advance(10)
        assert len(await active(cluster)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_failures_up_to_the_limit(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(backoffLimit=2))
        for wait in (10, 20):
            await say(cluster, "Failed")
            assert await active(cluster) == []
            await cluster.clock.advance(wait - 0.1)
            assert await active(cluster) == []
            await cluster.clock.advance(0.2)
            assert len(await active(cluster)) == 1
        await say(cluster, "Failed")
        message = "Job has reached the specified backoff limit"
        assert await ended(cluster) == [
            ("FailureTarget", "BackoffLimitExceeded", message),
            ("Failed", "BackoffLimitExceeded", message),
        ]
        assert (await status(cluster))["failed"] == 3
        assert (await cluster.events("load"))[-1] == ("Warning", "BackoffLimitExceeded", message)
        await cluster.clock.advance(3600)
        assert await active(cluster) == []

    with_controllers(tmp_path, ALONE, test)


def test_containers_that_restart_in_place_count_too(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(backoffLimit=3, restartPolicy="OnFailure"))
        (name,) = await active(cluster)
        entry = {"name": "c", "image": "", "imageID": "", "ready": False, "restartCount": 2}
        await cluster.say(name, "Running", containerStatuses=[entry])
        await cluster.settle()
        assert await ended(cluster) == []
        entry["restartCount"] = 3
        await cluster.say(name, "Running", containerStatuses=[entry])
        await cluster.settle()
        assert (await ended(cluster))[0][:2] == ("FailureTarget", "BackoffLimitExceeded")
        await cluster.end_pods()
        assert (await ended(cluster))[-1][0] == "Failed"

    with_controllers(tmp_path, ALONE, test)


def test_a_deadline_ends_what_runs(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(activeDeadlineSeconds=30, parallelism=2, completions=2))
        for name in await active(cluster):
            await cluster.place_pod(name)
        await cluster.run_pods()
        await cluster.clock.advance(29)
        assert len(await active(cluster)) == 2
        await cluster.clock.advance(2)
        assert await cluster.pods() == []
        assert [each[0] for each in await ended(cluster)] == ["FailureTarget"]
        assert (await status(cluster))["terminating"] == 2
        await cluster.end_pods()
        assert (await ended(cluster))[-1] == (
            "Failed", "DeadlineExceeded", "Job was active longer than specified deadline",
        )  # fmt: skip
        assert (await status(cluster))["failed"] == 2

    with_controllers(tmp_path, ALONE, test)


def test_a_work_queue_lets_its_workers_finish(tmp_path: Path) -> None:
    """completions not set: the first success ends the hiring, not the work."""

    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(parallelism=3))
        await cluster.run_pods()
        await say(cluster, "Succeeded")
        assert len(await active(cluster)) == 2
        assert await ended(cluster) == []
        await say(cluster, "Failed")
        await cluster.clock.advance(60)
        assert len(await active(cluster)) == 1
        await say(cluster, "Succeeded")
        assert (await ended(cluster))[-1][0] == "Complete"

    with_controllers(tmp_path, ALONE, test)


def test_suspending_and_resuming(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(parallelism=2, completions=2))
        for name in await active(cluster):
            await cluster.place_pod(name)
        await cluster.run_pods()
        await cluster.patch(JOBS, "load", {"spec": {"suspend": True}})
        assert await cluster.pods() == []
        await cluster.end_pods()
        assert await ended(cluster) == [("Suspended", "JobSuspended", "Job suspended")]
        found = await status(cluster)
        assert found.get("failed", 0) == 0  # it is not their failure
        await cluster.clock.advance(100)
        await cluster.patch(JOBS, "load", {"spec": {"suspend": False}})
        assert len(await active(cluster)) == 2
        assert (await status(cluster))["startTime"] == "2026-01-01T00:01:40Z"
        assert await ended(cluster) == [("Suspended", "JobResumed", "Job resumed")]
        reasons = [reason for _, reason, _ in await cluster.events("load")]
        assert "Suspended" in reasons
        assert "Resumed" in reasons

    with_controllers(tmp_path, ALONE, test)


def test_fewer_at_once(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(parallelism=5, completions=10))
        await cluster.patch(JOBS, "load", {"spec": {"parallelism": 2}})
        assert len(await active(cluster)) == 2
        assert (await status(cluster)).get("failed", 0) == 0

    with_controllers(tmp_path, ALONE, test)


def test_indexed_pods(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(completionMode="Indexed", completions=5, parallelism=3))
        pods = await cluster.pods()
        assert [each["metadata"]["annotations"][INDEX] for each in pods] == ["0", "1", "2"]
        assert pods[1]["metadata"]["name"].startswith("load-1-")
        assert pods[1]["spec"]["hostname"] == "load-1"
        variable = pods[1]["spec"]["containers"][0]["env"][0]
        assert variable["name"] == "JOB_COMPLETION_INDEX"
        for pod in pods:
            phase = "Failed" if pod["metadata"]["annotations"][INDEX] == "1" else "Succeeded"
            await cluster.say(pod["metadata"]["name"], phase, ready=False)
        await cluster.clock.advance(11)
        found = await status(cluster)
        assert (found["completedIndexes"], found["succeeded"], found["failed"]) == ("0,2", 2, 1)
        names = await active(cluster)
        assert [name.rpartition("-")[0] for name in names] == ["load-1", "load-3", "load-4"]
        for name in names:
            await cluster.say(name, "Succeeded", ready=False)
        await cluster.settle()
        assert (await status(cluster))["completedIndexes"] == "0-4"
        assert (await ended(cluster))[-1][0] == "Complete"

    with_controllers(tmp_path, ALONE, test)


def test_a_job_that_is_over_goes_in_time_with_its_pods(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(ttlSecondsAfterFinished=100))
        await say(cluster, "Succeeded")
        await cluster.clock.advance(99)
        assert not await cluster.is_gone(JOBS, "load")
        await cluster.clock.advance(2)
        assert await cluster.is_gone(JOBS, "load")
        assert await cluster.list(PODS) == []

    with_controllers(tmp_path, (*ALONE, "garbagecollector"), test)


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_a_job_that_is_deleted_in_its_midst(tmp_path: Path, propagation: str) -> None:
    """No pod is held back by our finalizer."""

    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(parallelism=2, completions=2))
        await cluster.delete(JOBS, "load", propagation=propagation)
        await cluster.clock.advance(5)
        assert await cluster.is_gone(JOBS, "load")
        left = await cluster.list(PODS)
        assert len(left) == (2 if propagation == "Orphan" else 0)
        assert all("finalizers" not in each["metadata"] for each in left)

    with_controllers(tmp_path, (*ALONE, "garbagecollector"), test)


def test_somebody_elses_job(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(JOBS, job(managedBy="example.org/queue"))
        assert await cluster.list(PODS) == []

    with_controllers(tmp_path, ALONE, test)


def test_what_is_not_implemented_fails_by_name(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget",
                                                         "status": "True"}]}  # fmt: skip
        await cluster.create(JOBS, job(podFailurePolicy={"rules": [rule]}))
        assert await cluster.list(PODS) == []
        assert (await ended(cluster))[-1] == (
            "Failed", "NotImplemented", "spec.podFailurePolicy: not implemented",
        )  # fmt: skip

    with_controllers(tmp_path, ALONE, test)
