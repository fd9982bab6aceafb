"""Turns a Deployment into ReplicaSets, one a template, and rolls from the old ones to the new."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import DEPLOYMENTS, REPLICA_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers import rolling
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    condition,
    controller_of,
    owner_uids,
    reference_to,
    short_hash,
    with_condition,
)
from dockyard.cluster.controllers.rolling import Sizes

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MOST,
    "deployment.kubernetes.io/revision-history",
})  # fmt: skip


class Deployments:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._sets = context.informers.of(REPLICA_SETS)
        self._sets.add_index(OWNER, owner_uids)
        self._deployments.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._sets.add_handler(self._set_changed)

    def _set_changed(self, before: Object | None, after: Object | None) -> None:
        found = after or before
        assert found is not None
        owner = controller_of(found)
        if owner and owner["kind"] == "Deployment":
            self._queue.add(f"{found['metadata']['namespace']}/{owner['name']}")

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("deployment", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        found = self._deployments.get(key)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        spec = found["spec"]
        sets = sorted(self._sets.by(OWNER, found["metadata"]["uid"]), key=_created)
        new = next((each for each in sets if _template(each) == _template(found)), None)
        if new is None and not spec.get("paused"):
            new = await self._make_set(found, sets)
        elif new is not None:
            await self._mark_revision(found, new, sets)
        old = [each for each in sets if new is None or (each is not new and
               each["metadata"]["uid"] != new["metadata"]["uid"])]  # fmt: skip
        current = [*old, *([new] if new is not None else [])]
        if not await self._scale_proportionally(found, current) and new is not None:
            if spec.get("paused"):
                if not any(_size(each) for each in old):
                    await self._resize(found, {_name(new): int(spec.get("replicas", 1))}, current)
            else:
                sizes = rolling.roll(spec, _sizes(new), [_sizes(each) for each in old])
                await self._resize(found, sizes, current)
                await self._forget_history(found, old)
        await self._update_status(found, new, current)

    # sets

    async def _make_set(self, found: Object, sets: list[Object]) -> Object:
        metadata, spec = found["metadata"], found["spec"]
        template = copy_of(spec["template"])
        digest = short_hash(spec["template"], found.get("status", {}).get("collisionCount", 0))
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
        selector = copy_of(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH] = digest
        old = [_sizes(each) for each in sets]
        first = Sizes(f"{metadata['name']}-{digest}", 0, 0)
        size = rolling.roll(spec, first, old).get(first.name, 0)
        revision = 1 + max((_revision(each) for each in sets), default=0)
        annotations = {k: v for k, v in (metadata.get("annotations") or {}).items()
                       if k not in NOT_COPIED}  # fmt: skip
        made = await self._context.client.create(
            REPLICA_SETS,
            {
                "metadata": {
                    "name": first.name,
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": {**annotations, REVISION: str(revision),
                                    **_desired(spec)},
                    "ownerReferences": [reference_to(found, "Deployment", "apps/v1")],
                },
                "spec": {
                    "replicas": size,
                    "selector": selector,
                    "template": template,
                    "minReadySeconds": spec.get("minReadySeconds", 0),
                },
            },
        )  # fmt: skip
        await self._say_scaled(found, made, 0, size)
        await self._set_revision(found, revision)
        return made

    async def _mark_revision(self, found: Object, new: Object, sets: list[Object]) -> None:
        """A template that was used before (a rollback) becomes the newest revision again."""
        newest = max((_revision(each) for each in sets if each is not new), default=0)
        revision = _revision(new)
        if revision <= newest:
            revision = newest + 1
            patch = {"metadata": {"annotations": {REVISION: str(revision)}}}
            metadata = new["metadata"]
            await self._context.client.patch(
                REPLICA_SETS, metadata["name"], patch, metadata["namespace"]
            )
        await self._set_revision(found, revision)

    async def _set_revision(self, found: Object, revision: int) -> None:
        metadata = found["metadata"]
        if (metadata.get("annotations") or {}).get(REVISION) != str(revision):
            patch = {"metadata": {"annotations": {REVISION: str(revision)}}}
            await self._context.client.patch(
                DEPLOYMENTS, metadata["name"], patch, metadata["namespace"]
            )

    async def _scale_proportionally(self, found: Object, sets: list[Object]) -> bool:
        """Whether the Deployment was scaled while several sets have pods, and the sets now are."""
        active = [each for each in sets if _size(each)]
        desired = int(found["spec"].get("replicas", 1))
        before = {int((each["metadata"].get("annotations") or {}).get(DESIRED, desired))
                  for each in active}  # fmt: skip
        if len(active) < 2 or before == {desired}:
            return False
        sizes = rolling.proportional(found["spec"], [_sizes(each) for each in active], max(before))
        for each in active:
            sizes.setdefault(_name(each), _size(each))
        await self._resize(found, sizes, sets)
        return True

    async def _resize(self, found: Object, sizes: dict[str, int], sets: list[Object]) -> None:
        desired = _desired(found["spec"])
        for each in sets:
            metadata = each["metadata"]
            size = sizes.get(metadata["name"], _size(each))
            noted = desired.items() <= (metadata.get("annotations") or {}).items()
            if size == _size(each) and (noted or not size):
                continue
            patch = {"metadata": {"annotations": desired}, "spec": {"replicas": size}}
            await self._context.client.patch(
                REPLICA_SETS, metadata["name"], patch, metadata["namespace"]
            )
            if size != _size(each):
                await self._say_scaled(found, each, _size(each), size)

    async def _say_scaled(self, found: Object, replica_set: Object, old: int, new: int) -> None:
        if old == new:
            return
        direction = "up" if new > old else "down"
        await self._context.recorder.event(
            found, "Normal", "ScalingReplicaSet",
            f"Scaled {direction} replica set {_name(replica_set)} from {old} to {new}",
        )  # fmt: skip

    async def _forget_history(self, found: Object, old: list[Object]) -> None:
        limit = int(found["spec"].get("revisionHistoryLimit", 10))
        idle = [each for each in old if not _size(each) and not each["status"].get("replicas")]
        for each in sorted(idle, key=_revision)[: max(0, len(idle) - limit)]:
            metadata = each["metadata"]
            await self._context.client.delete(
                REPLICA_SETS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
            )

    # status

    async def _update_status(self, found: Object, new: Object | None, sets: list[Object]) -> None:
        status = self._status(found, new, sets)
        if status != found.get("status", {}):
            fresh = copy_of(found)
            fresh["status"] = status
            await self._context.client.update_status(DEPLOYMENTS, fresh)

    def _status(self, found: Object, new: Object | None, sets: list[Object]) -> dict[str, Any]:
        spec, old = found["spec"], found.get("status", {})
        replicas = int(spec.get("replicas", 1))
        counts = {name: sum(each.get("status", {}).get(name, 0) for each in sets)
                  for name in ("replicas", "readyReplicas", "availableReplicas")}  # fmt: skip
        updated = new.get("status", {}).get("replicas", 0) if new is not None else 0
        status: dict[str, Any] = {
            "observedGeneration": found["metadata"].get("generation", 0),
            **counts,
            "updatedReplicas": updated,
            "unavailableReplicas": max(0, max(replicas, counts["replicas"])
                                       - counts["availableReplicas"]),
        }  # fmt: skip
        status = {name: value for name, value in status.items() if value}
        status["conditions"] = [dict(each) for each in old.get("conditions") or ()]
        if "collisionCount" in old:
            status["collisionCount"] = old["collisionCount"]
        stamp = self._context.stamp()
        _, unavailable = rolling.bounds(spec)
        if counts["availableReplicas"] >= replicas - unavailable:
            with_condition(
                status,
                "Available",
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
                stamp,
            )
        else:
            with_condition(status, "Available", "False", "MinimumReplicasUnavailable",
                           "Deployment does not have minimum availability.", stamp)  # fmt: skip
        self._progress(found, new, status, stamp)
        return status

    def _progress(
        self, found: Object, new: Object | None, status: dict[str, Any], stamp: str
    ) -> None:
        """The condition that `kubectl rollout status` reads."""
        spec = found["spec"]
        replicas = int(spec.get("replicas", 1))
        name = _name(new) if new is not None else found["metadata"]["name"]
        done = (
            new is not None
            and status.get("updatedReplicas", 0) == replicas
            and status.get("replicas", 0) == replicas
            and status.get("availableReplicas", 0) == replicas
        )
        before = condition(found, "Progressing")
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        moved = any(status.get(c, 0) != found.get("status", {}).get(c, 0) for c in counts)
        if done:
            with_condition(
                status,
                "Progressing",
                "True",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{name}" has successfully progressed.',
                stamp,
            )
        elif not before or moved or before.get("reason") == "NewReplicaSetAvailable":
            others = [c for c in status["conditions"] if c["type"] != "Progressing"]
            status["conditions"] = others
            with_condition(status, "Progressing", "True", "ReplicaSetUpdated",
                           f'ReplicaSet "{name}" is progressing.', stamp)  # fmt: skip
        else:
            deadline = float(spec.get("progressDeadlineSeconds", 600))
            since = parse_stamp(before.get("lastUpdateTime") or stamp)
            left = since + deadline - self._context.clock.time()
            if left > 0:
                self._queue.add_after(key_of(found), left + 1)
            elif before.get("reason") != "ProgressDeadlineExceeded":
                message = f'ReplicaSet "{name}" has timed out progressing.'
                with_condition(
                    status, "Progressing", "False", "ProgressDeadlineExceeded", message, stamp
                )


def _template(obj: Object) -> Any:
    """The pod template without the hash that a set's own carries."""
    template = copy_of(obj["spec"]["template"])
    labels = template.get("metadata", {}).get("labels") or {}
    labels.pop(HASH, None)
    return template


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _size(obj: Object) -> int:
    return int(obj["spec"].get("replicas", 1))


def _sizes(obj: Object) -> Sizes:
    return Sizes(_name(obj), _size(obj), int(obj.get("status", {}).get("availableReplicas", 0)))


def _revision(obj: Object) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _created(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("creationTimestamp", ""), _name(obj)


def _desired(spec: Object) -> dict[str, str]:
    replicas = int(spec.get("replicas", 1))
    surge, _ = rolling.bounds(spec)
    return {DESIRED: str(replicas), MOST: str(replicas + surge)}
