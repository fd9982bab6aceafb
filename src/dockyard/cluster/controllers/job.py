"""Turns a Job into pods until enough of them have succeeded, or too many have failed.

Each pod carries a finalizer until its end is counted in the Job's status, so that no pod that is
deleted counts twice or not at all (kubernetes' "job tracking with finalizers").
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import JOBS, PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers import jobplan
from dockyard.cluster.controllers.common import (
    Context,
    Owner,
    condition,
    controller_of,
    create_pod,
    index_owners,
    is_active,
    is_alive,
    is_ready,
    pod_from,
    reference_to,
)
from dockyard.cluster.controllers.doomed import doomed
from dockyard.cluster.controllers.jobplan import FINALIZER, INDEX, Numbers, Verdict
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.errors import NotFound

OURSELVES = "kubernetes.io/job-controller"
MOST_UNCOUNTED = 500
"""Ends that are counted in one go: a status has to stay small."""


class Jobs:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS)
        index_owners(self._pods)
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
            await self._let_go(key, job)
            return
        if job["spec"].get("managedBy", OURSELVES) != OURSELVES:
            return
        pods = await self._own(job)
        if condition(job, "Complete") or condition(job, "Failed"):
            await self._free(each for each in pods if _is_tracked(each))
            await self._collect(job)
            return
        job = await self._count(job, pods)
        numbers = _numbers(job, pods)
        stamp = self._context.stamp()
        status = _described(job, pods, numbers, stamp)
        found = _interim(job) or jobplan.verdict(
            {**job, "status": status}, numbers, self._context.clock.time()
        )
        if found is not None:
            await self._finish(job, status, pods, found)
        elif not self._made.get(key):
            await self._suspend_or_resume(job, status, stamp)
            try:
                await self._manage(key, job, pods, numbers)
            finally:
                await self._write(job, status)
            left = jobplan.seconds_left({**job, "status": status}, self._context.clock.time())
            if left is not None:
                self._queue.add_after(key, left)
            return
        await self._write(job, status)

    async def _own(self, job: Object) -> list[Object]:
        selector = selectors.from_object(job["spec"]["selector"])
        owner = Owner(
            self._context, job, JOBS, "Job",
            lambda pod: selector.matches(pod["metadata"].get("labels")),
        )  # fmt: skip
        return await owner.claim(self._pods)

    # counting

    async def _count(self, job: Object, pods: list[Object]) -> Object:
        """Write down who has ended, let them go, then add them to the numbers."""
        uncounted = _uncounted(job)
        tracked = {each["metadata"]["uid"]: each for each in pods if _is_tracked(each)}
        fresh = [each for uid, each in tracked.items()
                 if _has_ended(each, job) and uid not in uncounted][:MOST_UNCOUNTED]  # fmt: skip
        for each in fresh:
            well = each.get("status", {}).get("phase") == "Succeeded"
            uncounted[each["metadata"]["uid"]] = "succeeded" if well else "failed"
        if fresh:
            job = await self._write(job, _with_uncounted(job, uncounted, pods))
        if not uncounted:
            return job
        await self._free(tracked[uid] for uid in uncounted if uid in tracked)
        return await self._write(job, _with_counted(job, uncounted))

    async def _free(self, pods: Iterable[Object]) -> None:
        """Take our finalizer off."""
        for pod in pods:
            metadata = pod["metadata"]
            rest = [each for each in metadata["finalizers"] if each != FINALIZER]
            patch = {"metadata": {"uid": metadata["uid"], "finalizers": rest or None}}
            try:
                await self._context.client.patch(
                    PODS, metadata["name"], patch, metadata["namespace"]
                )
            except NotFound:
                continue

    async def _let_go(self, key: str, job: Object | None) -> None:
        """Pods of a Job that is gone, or about to be: nobody counts them any more."""
        namespace, _, name = key.partition("/")
        for pod in self._pods.in_namespace(namespace):
            owner = controller_of(pod)
            if owner is None or (owner["kind"], owner["name"]) != ("Job", name):
                continue
            if (job is None or owner["uid"] == job["metadata"]["uid"]) and _is_tracked(pod):
                await self._free([pod])

    # pods

    async def _manage(self, key: str, job: Object, pods: list[Object], numbers: Numbers) -> None:
        spec, clock = job["spec"], self._context.clock
        active = [each for each in pods if is_active(each)]
        wanted = jobplan.wanted_active(spec, numbers)
        if len(active) > wanted:
            going = doomed(active, len(active) - wanted, clock.time())
            await self._free(each for each in going if _is_tracked(each))  # no failures of theirs
            await self._delete(job, going)
            return
        missing = wanted - len(active)
        if spec.get("podReplacementPolicy") == "Failed":
            missing -= numbers.terminating
        if missing <= 0:
            return
        ends = [(jobplan.ended_at(each, clock.time()), each["status"]["phase"] == "Succeeded")
                for each in pods if not is_alive(each)]  # fmt: skip
        left = jobplan.pause(ends, clock.time())
        if left > 0:
            self._queue.add_after(key, left)
            return
        await self._create(key, job, pods, missing)

    async def _create(self, key: str, job: Object, pods: list[Object], count: int) -> None:
        """In batches that double, so that a template nobody accepts fails once, not 500 times."""
        indexes: list[int | None] = [None] * count
        if job["spec"].get("completionMode") == "Indexed":
            done = jobplan.parse_indexes(job["status"].get("completedIndexes", ""))
            active = [each for each in pods if is_active(each)]
            indexes = [*jobplan.free_indexes(int(job["spec"]["completions"]), done, active, count)]
        batch = 1
        while indexes:
            now, indexes = indexes[:batch], indexes[batch:]
            made = await asyncio.gather(
                *(self._create_one(job, index) for index in now), return_exceptions=True
            )
            for result in made:
                if not isinstance(result, BaseException) and self._pods.get(key_of(result)) is None:
                    self._made.setdefault(key, set()).add(result["metadata"]["uid"])
            for result in made:
                if isinstance(result, BaseException):
                    raise result
            batch *= 2

    async def _create_one(self, job: Object, index: int | None) -> Object:
        metadata = job["metadata"]
        owner = reference_to(job, "Job", "batch/v1")
        pod = pod_from(job["spec"]["template"], owner, metadata["namespace"])
        pod["metadata"].setdefault("finalizers", []).append(FINALIZER)
        pod["metadata"]["generateName"] = f"{metadata['name']}-"
        if index is not None:
            _give_index(pod, metadata["name"], index)
        return await create_pod(self._context, job, pod)

    async def _delete(self, job: Object, pods: list[Object]) -> None:
        for pod in pods:
            metadata = pod["metadata"]
            try:
                await self._context.client.delete(
                    PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
                )
            except NotFound:
                continue
            await self._context.recorder.event(
                job, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}"
            )

    # status

    async def _suspend_or_resume(self, job: Object, status: dict[str, Any], stamp: str) -> None:
        before = condition(job, "Suspended").get("status")
        if job["spec"].get("suspend"):
            if before != "True":
                _set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended", stamp)
                await self._context.recorder.event(job, "Normal", "Suspended", "Job suspended")
            return
        if before == "True":
            _set_condition(status, "Suspended", "False", "JobResumed", "Job resumed", stamp)
            status["startTime"] = stamp
            await self._context.recorder.event(job, "Normal", "Resumed", "Job resumed")
        status.setdefault("startTime", stamp)

    async def _finish(
        self, job: Object, status: dict[str, Any], pods: list[Object], found: Verdict
    ) -> None:
        """Say how it ends, end what still runs, and say that it has ended when nothing does."""
        stamp = self._context.stamp()
        first = "SuccessCriteriaMet" if found.kind == "Complete" else "FailureTarget"
        if not condition(job, first):
            _set_condition(status, first, "True", found.reason, found.message, stamp)
        active = [each for each in pods if is_active(each)]
        if found.kind == "Complete":
            await self._free(each for each in active if _is_tracked(each))
        await self._delete(job, active)
        if active or any(is_alive(each) for each in pods):
            return
        _set_condition(status, found.kind, "True", found.reason, found.message, stamp)
        if found.kind == "Complete":
            status["completionTime"] = stamp
            await self._context.recorder.event(job, "Normal", "Completed", "Job completed")
        else:
            await self._context.recorder.event(job, "Warning", found.reason, found.message)

    async def _write(self, job: Object, status: dict[str, Any]) -> Object:
        """The job as it is then."""
        if status == job.get("status", {}):
            return job
        fresh = copy_of(job)
        fresh["status"] = status
        return await self._context.client.update_status(JOBS, fresh)

    async def _collect(self, job: Object) -> None:
        """A job that is over goes after its time to live, and its pods before it."""
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
                JOBS, metadata["name"], metadata["namespace"], uid=metadata["uid"],
                propagation="Foreground",
            )  # fmt: skip


def _is_tracked(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def _has_ended(pod: Object, job: Object) -> bool:
    """Whether a pod counts: one that is deleted counts as failed, as it may never say so."""
    if not is_alive(pod):
        return True
    only_ended = job["spec"].get("podReplacementPolicy") == "Failed"
    return "deletionTimestamp" in pod["metadata"] and not only_ended


def _uncounted(job: Object) -> dict[str, str]:
    """uid -> ``succeeded`` or ``failed``."""
    found = job.get("status", {}).get("uncountedTerminatedPods") or {}
    return {uid: kind for kind in ("succeeded", "failed") for uid in found.get(kind) or ()}


def _with_uncounted(job: Object, uncounted: dict[str, str], pods: list[Object]) -> dict[str, Any]:
    status = copy_of(job.get("status", {}))
    lists = {kind: [uid for uid, each in uncounted.items() if each == kind]
             for kind in ("succeeded", "failed")}  # fmt: skip
    status["uncountedTerminatedPods"] = {kind: uids for kind, uids in lists.items() if uids}
    if job["spec"].get("completionMode") == "Indexed":
        done = jobplan.parse_indexes(status.get("completedIndexes", ""))
        done |= {jobplan.index_of(each) for each in pods
                 if uncounted.get(each["metadata"]["uid"]) == "succeeded"} - {-1}  # fmt: skip
        if done:
            status["completedIndexes"] = jobplan.format_indexes(done)
    return status


def _with_counted(job: Object, uncounted: dict[str, str]) -> dict[str, Any]:
    status = copy_of(job.get("status", {}))
    status["uncountedTerminatedPods"] = {}
    for kind in ("succeeded", "failed"):
        count = int(status.get(kind, 0)) + sum(each == kind for each in uncounted.values())
        if count:
            status[kind] = count
    if "completedIndexes" in status:  # an index that succeeded twice counts once
        status["succeeded"] = len(jobplan.parse_indexes(status["completedIndexes"]))
    return status


def _numbers(job: Object, pods: list[Object]) -> Numbers:
    status, active = job.get("status", {}), [each for each in pods if is_active(each)]
    restarts = 0
    if job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure":
        restarts = sum(
            int(each.get("restartCount", 0))
            for pod in active
            for section in ("initContainerStatuses", "containerStatuses")
            for each in pod.get("status", {}).get(section) or ()
        )
    terminating = sum(is_alive(each) and not is_active(each) for each in pods)
    return Numbers(
        len(active), int(status.get("succeeded", 0)), int(status.get("failed", 0)), terminating,
        restarts,
    )  # fmt: skip


def _described(job: Object, pods: list[Object], numbers: Numbers, stamp: str) -> dict[str, Any]:
    status = copy_of(job.get("status", {}))
    status.pop("active", None)
    if numbers.active:
        status["active"] = numbers.active
    status["terminating"] = numbers.terminating
    status["ready"] = sum(is_ready(pod) for pod in pods if is_active(pod))
    status.setdefault("uncountedTerminatedPods", {})
    if not job["spec"].get("suspend"):
        status.setdefault("startTime", stamp)
    return status


def _interim(job: Object) -> Verdict | None:
    """What was decided before, while its pods still end."""
    for name, kind in (("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")):
        if found := condition(job, name):
            return Verdict(kind, found["reason"], found["message"])
    return None


def _set_condition(
    status: dict[str, Any], kind: str, value: str, reason: str, message: str, stamp: str
) -> None:
    others = [each for each in status.get("conditions") or () if each["type"] != kind]
    status["conditions"] = [*others, {
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastProbeTime": stamp, "lastTransitionTime": stamp,
    }]  # fmt: skip


def _give_index(pod: dict[str, Any], name: str, index: int) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    metadata.setdefault("annotations", {})[INDEX] = str(index)
    metadata.setdefault("labels", {})[INDEX] = str(index)
    metadata["generateName"] = f"{name}-{index}-"
    spec["hostname"] = f"{name}-{index}"
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        env = container.setdefault("env", [])
        if not any(each["name"] == variable["name"] for each in env):
            env.append(variable)
