"""Turns a ReplicaSet's wish for so many pods into creations and deletions."""

from __future__ import annotations

import asyncio
from typing import Any

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import PODS, REPLICA_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    controller_of,
    is_active,
    is_available,
    is_ready,
    owner_uids,
    pod_from,
    ready_since,
    reference_to,
)
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.errors import NotFound

BURST = 500
EXPECT_SECONDS = 300.0


class ReplicaSets:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._sets = context.informers.of(REPLICA_SETS)
        self._pods = context.informers.of(PODS)
        self._pods.add_index(OWNER, owner_uids)
        self._expected: dict[str, tuple[set[str], float]] = {}
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
            expected = self._expected.get(key)
            if expected:
                expected[0].discard(pod["metadata"]["uid"])
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
        pods = await self._own(found)
        active = [pod for pod in pods if is_active(pod)]
        deleting = "deletionTimestamp" in found["metadata"]
        if not deleting and self._caught_up(key):
            missing = int(found["spec"].get("replicas", 1)) - len(active)
            if missing > 0:
                await self._create(key, found, min(missing, BURST))
            elif missing < 0:
                await self._delete(key, found, doomed(active, min(-missing, BURST)))
        await self._update_status(found, active)

    def _caught_up(self, key: str) -> bool:
        """Whether the informer has shown everything that was done before."""
        waiting, until = self._expected.get(key, (set(), 0.0))
        return not waiting or self._context.clock.monotonic() > until

    async def _own(self, found: Object) -> list[Object]:
        """The set's pods; orphans that match are adopted."""
        uid = found["metadata"]["uid"]
        pods = self._pods.by(OWNER, uid)
        if "deletionTimestamp" in found["metadata"]:
            return pods
        selector = selectors.from_object(found["spec"]["selector"])
        for pod in self._pods.in_namespace(found["metadata"]["namespace"]):
            if controller_of(pod) is None and is_active(pod) and selector.matches(
                pod["metadata"].get("labels")
            ):  # fmt: skip
                metadata = pod["metadata"]
                owners = [*(metadata.get("ownerReferences") or ()),
                          reference_to(found, "ReplicaSet", "apps/v1")]  # fmt: skip
                patch = {"metadata": {"uid": metadata["uid"], "ownerReferences": owners}}
                pods.append(
                    await self._context.client.patch(
                        PODS, metadata["name"], patch, metadata["namespace"]
                    )
                )
        return pods

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
                if isinstance(result, BaseException):
                    raise result
                if self._pods.get(key_of(result)) is None:
                    expected.add(result["metadata"]["uid"])
            count -= len(made)
            batch *= 2

    async def _create_one(
        self, found: Object, owner: dict[str, Any], namespace: str, name: str
    ) -> Object:
        pod = pod_from(found["spec"]["template"], owner, namespace)
        pod["metadata"]["generateName"] = f"{name}-"
        try:
            made = await self._context.client.create(PODS, pod, namespace)
        except DockyardError as error:
            await self._context.recorder.event(
                found, "Warning", "FailedCreate", f"Error creating: {error}"
            )
            raise
        await self._context.recorder.event(
            found, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}"
        )
        return made

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
            latest = self._pods.get(key_of(pod))
            if latest is not None and "deletionTimestamp" not in latest["metadata"]:
                expected.add(metadata["uid"])
            await self._context.recorder.event(
                found, "Normal", "SuccessfulDelete", f"Deleted pod: {metadata['name']}"
            )

    def _expect(self, key: str) -> set[str]:
        waiting: set[str] = set()
        self._expected[key] = (waiting, self._context.clock.monotonic() + EXPECT_SECONDS)
        return waiting

    async def _update_status(self, found: Object, active: list[Object]) -> None:
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
        if seconds and status["availableReplicas"] < status["readyReplicas"]:
            self._queue.add_after(key_of(found), float(seconds))
        kept = {name: value for name, value in status.items() if value or name == "replicas"}
        before = {k: v for k, v in found.get("status", {}).items() if k != "conditions"}
        if kept != before:
            fresh = copy_of(found)
            fresh["status"] = kept
            await self._context.client.update_status(REPLICA_SETS, fresh)


def doomed(pods: list[Object], count: int) -> list[Object]:
    """Whom to delete first: not placed, not ready, ready for the shortest time, youngest."""

    def rank(pod: Object) -> tuple[bool, int, bool, float, int, str]:
        status = pod.get("status", {})
        phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
        restarts = max(
            (c.get("restartCount", 0) for c in status.get("containerStatuses") or ()), default=0
        )
        created = pod["metadata"].get("creationTimestamp", "")
        return (
            bool(pod["spec"].get("nodeName")), phase, is_ready(pod), -ready_since(pod),
            -restarts, _reversed(created),
        )  # fmt: skip

    return sorted(pods, key=rank)[:count]


def _reversed(stamp: str) -> str:
    """A text that sorts the other way round."""
    return "".join(chr(0x10FF - ord(character)) for character in stamp)
