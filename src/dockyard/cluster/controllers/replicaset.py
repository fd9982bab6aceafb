"""Turns a ReplicaSet's wish for so many pods into creations and deletions."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import PODS, REPLICA_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    Owner,
    condition,
    controller_of,
    create_pod,
    index_owners,
    is_active,
    is_alive,
    is_available,
    is_ready,
    pod_from,
    ready_since,
    reference_to,
)
from dockyard.cluster.controllers.doomed import doomed
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.errors import NotFound

BURST = 500
EXPECT_SECONDS = 300.0


class _Expected(NamedTuple):
    """What was done, and is not seen yet: uids."""

    creations: set[str]
    deletions: set[str]
    until: float
    """After this what is missing is believed lost."""


class ReplicaSets:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._sets = context.informers.of(REPLICA_SETS)
        self._pods = context.informers.of(PODS)
        index_owners(self._pods)
        self._expected: dict[str, _Expected] = {}
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    def _set_changed(self, before: Object | None, after: Object | None) -> None:
        self._queue.add(key_of(after or before))  # type: ignore[arg-type]

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None
        owner = controller_of(pod)
        if owner and owner["kind"] == "ReplicaSet":
            key = f"{pod['metadata']['namespace']}/{owner['name']}"
            if expected := self._expected.get(key):
                uid = pod["metadata"]["uid"]
                expected.creations.discard(uid)
                if after is None or "deletionTimestamp" in after["metadata"]:
                    expected.deletions.discard(uid)
            self._queue.add(key)
        elif owner is None:
            for found in self._sets.in_namespace(pod["metadata"]["namespace"]):
                selector = selectors.from_object(found["spec"]["selector"])
                if selector.matches(pod["metadata"].get("labels")):
                    self._queue.add(key_of(found))

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("replicaset", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        found = self._sets.get(key)
        if found is None:
            self._expected.pop(key, None)
            return
        caught_up = self._caught_up(key)
        active = [pod for pod in await self._own(found) if is_active(pod)]
        failure: DockyardError | None = None
        if "deletionTimestamp" not in found["metadata"] and caught_up:
            try:
                await self._manage(key, found, active)
            except DockyardError as error:
                failure = error
        await self._update_status(found, active, failure)
        if failure is not None:
            raise failure

    async def _manage(self, key: str, found: Object, active: list[Object]) -> None:
        missing = int(found["spec"].get("replicas", 1)) - len(active)
        if missing > 0:
            await self._create(key, found, min(missing, BURST))
        elif missing < 0:
            clock = self._context.clock
            going = doomed(active, min(-missing, BURST), clock.time(), self._kin(found, active))
            await self._delete(key, found, going)

    def _kin(self, found: Object, own: list[Object]) -> list[Object]:
        """Pods of all sets that have the same owner."""
        owner = controller_of(found)
        if owner is None:
            return own
        sets = [each for each in self._sets.in_namespace(found["metadata"]["namespace"])
                if (controller_of(each) or {}).get("uid") == owner["uid"]]  # fmt: skip
        return [pod for each in sets for pod in self._pods.by(OWNER, each["metadata"]["uid"])]

    def _caught_up(self, key: str) -> bool:
        """Whether the informer has shown everything that was done before."""
        found = self._expected.get(key)
        return (
            found is None
            or not (found.creations or found.deletions)
            or self._context.clock.monotonic() > found.until
        )

    async def _own(self, found: Object) -> list[Object]:
        """The set's pods: orphans that match are adopted, what does not match is released."""
        selector = selectors.from_object(found["spec"]["selector"])
        owner = Owner(
            self._context, found, REPLICA_SETS, "ReplicaSet",
            lambda pod: selector.matches(pod["metadata"].get("labels")),
        )  # fmt: skip
        return await owner.claim(self._pods, is_alive)

    async def _create(self, key: str, found: Object, count: int) -> None:
        """In batches that double, so that a template nobody accepts fails once, not 500 times."""
        owner = reference_to(found, "ReplicaSet", "apps/v1")
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        expected = self._expect(key)
        batch = 1
        while count > 0:
            made = await asyncio.gather(
                *(
                    self._create_one(found, owner, namespace, name)
                    for _ in range(min(batch, count))
                ),
                return_exceptions=True,
            )
            for result in made:
                if not isinstance(result, BaseException) and self._pods.get(key_of(result)) is None:
                    expected.creations.add(result["metadata"]["uid"])
            for result in made:
                if isinstance(result, BaseException):
                    raise result
            count -= len(made)
            batch *= 2

    async def _create_one(
        self, found: Object, owner: dict[str, Any], namespace: str, name: str
    ) -> Object:
        pod = pod_from(found["spec"]["template"], owner, namespace)
        pod["metadata"]["generateName"] = f"{name}-"
        return await create_pod(self._context, found, pod)

    async def _delete(self, key: str, found: Object, pods: list[Object]) -> None:
        expected = self._expect(key)
        for pod in pods:
            metadata = pod["metadata"]
            try:
                await self._context.client.delete(
                    PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
                )
            except NotFound:
                continue
            except DockyardError as error:
                await self._context.recorder.event(
                    found, "Warning", "FailedDelete", f"Error deleting: {error}"
                )
                raise
            latest = self._pods.get(key_of(pod))
            if latest is not None and "deletionTimestamp" not in latest["metadata"]:
                expected.deletions.add(metadata["uid"])
            await self._context.recorder.event(
                found, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}"
            )

    def _expect(self, key: str) -> _Expected:
        found = _Expected(set(), set(), self._context.clock.monotonic() + EXPECT_SECONDS)
        self._expected[key] = found
        return found

    async def _update_status(
        self, found: Object, active: list[Object], failure: DockyardError | None
    ) -> None:
        spec, time = found["spec"], self._context.clock.time()
        seconds = int(spec.get("minReadySeconds", 0))
        wanted = spec["template"].get("metadata", {}).get("labels") or {}
        labelled = [p for p in active
                    if wanted.items() <= (p["metadata"].get("labels") or {}).items()]  # fmt: skip
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": len(labelled),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(is_available(pod, seconds, time) for pod in active),
            "observedGeneration": found["metadata"].get("generation", 0),
        }
        waiting = [ready_since(pod) + seconds - time for pod in active
                   if is_ready(pod) and not is_available(pod, seconds, time)]  # fmt: skip
        if waiting:
            self._queue.add_after(key_of(found), min(waiting))
        fresh_status: dict[str, Any] = {
            name: value for name, value in status.items() if value or name == "replicas"
        }
        if conditions := self._conditions(found, len(active), failure):
            fresh_status["conditions"] = conditions
        if fresh_status != found.get("status", {}):
            fresh = copy_of(found)
            fresh["status"] = fresh_status
            await self._context.client.update_status(REPLICA_SETS, fresh)

    def _conditions(
        self, found: Object, have: int, failure: DockyardError | None
    ) -> list[dict[str, Any]]:
        """ReplicaFailure, while pods cannot be made or deleted."""
        before = condition(found, "ReplicaFailure")
        others = [dict(each) for each in found.get("status", {}).get("conditions") or ()
                  if each["type"] != "ReplicaFailure"]  # fmt: skip
        if failure is None:
            return others
        if before:
            return [*others, dict(before)]
        missing = have < int(found["spec"].get("replicas", 1))
        return [*others, {
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": self._context.stamp(),
            "reason": "FailedCreate" if missing else "FailedDelete", "message": str(failure),
        }]  # fmt: skip
