"""Turns a Job into pods until enough of them have succeeded, or too many have failed."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import JOBS, PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    condition,
    controller_of,
    is_active,
    is_ready,
    owner_uids,
    pod_from,
    reference_to,
)

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 360.0
"""Seconds before a failed pod is replaced; each one doubles."""


class Jobs:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS)
        self._pods.add_index(OWNER, owner_uids)
        self._jobs.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._pods.add_handler(self._pod_changed)
        self._made: dict[str, set[str]] = {}

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None
        owner = controller_of(pod)
        if owner and owner["kind"] == "Job":
            key = f"{pod['metadata']['namespace']}/{owner['name']}"
            self._made.get(key, set()).discard(pod["metadata"]["uid"])
            self._queue.add(key)

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("job", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        job = self._jobs.get(key)
        if job is None or "deletionTimestamp" in job["metadata"]:
            self._made.pop(key, None)
            return
        pods = self._pods.by(OWNER, job["metadata"]["uid"])
        active = [pod for pod in pods if is_active(pod)]
        phases = [pod.get("status", {}).get("phase") for pod in pods]
        succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
        status = self._counted(job, active, succeeded, failed)
        if condition(job, "Complete") or condition(job, "Failed"):
            await self._collect(job)
        elif verdict := self._verdict(job, succeeded, failed):
            await self._finish(job, status, active, *verdict)
        elif not self._made.get(key):
            await self._fill(key, job, active, succeeded, failed)
        if status != job.get("status", {}):
            fresh = copy_of(job)
            fresh["status"] = status
            await self._context.client.update_status(JOBS, fresh)

    def _counted(
        self, job: Object, active: list[Object], succeeded: int, failed: int
    ) -> dict[str, Any]:
        before = job.get("status", {})
        status = {k: v for k, v in copy_of(before).items()
                  if k not in ("active", "succeeded", "failed", "ready")}  # fmt: skip
        counts = {"active": len(active), "succeeded": succeeded, "failed": failed}
        status |= {name: value for name, value in counts.items() if value}
        status["ready"] = sum(is_ready(pod) for pod in active)
        if not job["spec"].get("suspend"):
            status.setdefault("startTime", self._context.stamp())
        return status

    def _verdict(self, job: Object, succeeded: int, failed: int) -> tuple[str, str, str] | None:
        """(condition, reason, message) of a job that has come to its end."""
        spec = job["spec"]
        completions = spec.get("completions")
        enough = succeeded >= (completions if completions is not None else 1)
        if enough:
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        if failed > int(spec.get("backoffLimit", 6)):
            return ("Failed", "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit")  # fmt: skip
        deadline, started = (
            spec.get("activeDeadlineSeconds"),
            job.get("status", {}).get("startTime"),
        )
        if deadline is not None and started:
            left = parse_stamp(started) + deadline - self._context.clock.time()
            if left <= 0:
                return ("Failed", "DeadlineExceeded",
                        "Job was active longer than specified deadline")  # fmt: skip
            self._queue.add_after(key_of(job), left)
        return None

    async def _finish(
        self, job: Object, status: dict[str, Any], active: list[Object], kind: str, reason: str,
        message: str,
    ) -> None:  # fmt: skip
        for pod in active:
            metadata = pod["metadata"]
            await self._context.client.delete(
                PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
            )
        stamp = self._context.stamp()
        first = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        status["conditions"] = [
            {"type": name, "status": "True", "reason": reason, "message": message,
             "lastProbeTime": stamp, "lastTransitionTime": stamp}
            for name in (first, kind)
        ]  # fmt: skip
        if kind == "Complete":
            status["completionTime"] = stamp
            await self._context.recorder.event(job, "Normal", "Completed", "Job completed")
        else:
            await self._context.recorder.event(job, "Warning", reason, message)

    async def _fill(
        self, key: str, job: Object, active: list[Object], succeeded: int, failed: int
    ) -> None:
        spec = job["spec"]
        parallelism, completions = int(spec.get("parallelism", 1)), spec.get("completions")
        wanted = parallelism
        if completions is not None:
            wanted = min(parallelism, max(0, int(completions) - succeeded))
        elif succeeded:
            wanted = len(active)
        if spec.get("suspend"):
            wanted = 0
        missing = wanted - len(active)
        if missing > 0 and failed:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failed - 1))
            left = self._last_failure(job) + pause - self._context.clock.time()
            if left > 0:
                self._queue.add_after(key, left)
                return
        owner = reference_to(job, "Job", "batch/v1")
        metadata = job["metadata"]
        for _ in range(missing):
            pod = pod_from(spec["template"], owner, metadata["namespace"])
            pod["metadata"]["generateName"] = f"{metadata['name']}-"
            made = await self._context.client.create(PODS, pod, metadata["namespace"])
            if self._pods.get(key_of(made)) is None:
                self._made.setdefault(key, set()).add(made["metadata"]["uid"])
            await self._context.recorder.event(
                job, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}"
            )

    def _last_failure(self, job: Object) -> float:
        """When the last failed pod had ended."""
        latest = 0.0
        for pod in self._pods.by(OWNER, job["metadata"]["uid"]):
            for container in pod.get("status", {}).get("containerStatuses") or ():
                ended = (container.get("state") or {}).get("terminated") or {}
                if ended.get("finishedAt") and pod["status"].get("phase") == "Failed":
                    latest = max(latest, parse_stamp(ended["finishedAt"]))
        return latest

    async def _collect(self, job: Object) -> None:
        """A job that is over goes after its time to live."""
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        ended = condition(job, "Complete") or condition(job, "Failed")
        if seconds is None:
            return
        left = parse_stamp(ended["lastTransitionTime"]) + seconds - self._context.clock.time()
        metadata = job["metadata"]
        if left > 0:
            self._queue.add_after(key_of(job), left)
        else:
            await self._context.client.delete(
                JOBS, metadata["name"], metadata["namespace"], propagation="Background"
            )
