"""Turns a Deployment into ReplicaSets, one a template, and rolls from the old ones to the new."""

from __future__ import annotations

from typing import Any

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers import rolling, rollout
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    Owner,
    condition,
    controller_of,
    index_owners,
    owner_uids,
    reference_to,
    short_hash,
)
from dockyard.cluster.controllers.rolling import Sizes
from dockyard.cluster.controllers.rollout import size
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.errors import AlreadyExists, Conflict, NotFound

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MOST, HISTORY,
    "deprecated.deployment.rollback.to",
})  # fmt: skip


class Deployments:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._sets = context.informers.of(REPLICA_SETS)
        self._pods = context.informers.of(PODS)
        index_owners(self._sets)
        self._pods.add_index(OWNER, owner_uids)
        self._deployments.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    def _set_changed(self, before: Object | None, after: Object | None) -> None:
        found = after or before
        assert found is not None
        owner = controller_of(found)
        if owner is None:
            labels = found["metadata"].get("labels")
            for each in self._deployments.in_namespace(found["metadata"]["namespace"]):
                if selectors.from_object(each["spec"]["selector"]).matches(labels):
                    self._queue.add(key_of(each))
        elif owner["kind"] == "Deployment":
            self._queue.add(f"{found['metadata']['namespace']}/{owner['name']}")

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        """The last of the old pods is gone: what a Deployment that recreates waits for."""
        owner = controller_of(before) if before is not None and after is None else None
        if before is None or owner is None or owner["kind"] != "ReplicaSet":
            return
        namespace = before["metadata"]["namespace"]
        found = self._sets.get(f"{namespace}/{owner['name']}")
        above = controller_of(found) if found is not None else None
        if above:
            self._queue.add(f"{namespace}/{above['name']}")

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("deployment", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        found = self._deployments.get(key)
        if found is None:
            return
        sets = sorted(await self._own(found), key=_created)
        new = next((each for each in sets if _template(each) == _template(found)), None)
        old = [each for each in sets if new is None or each is not new]
        if "deletionTimestamp" in found["metadata"]:
            await self._write(found, rollout.counted(found, new, sets, self._context.stamp()))
            return
        if changed := rollout.pause_condition(found):
            stamp = self._context.stamp()
            await self._write(found, rollout.announced(found, *changed, "Unknown", stamp))
            return  # its echo goes on
        if new is not None:
            new = await self._update_new(found, new, old)
        if found["spec"].get("paused") or rolling.is_scaled(found["spec"], [*map(_sizes, sets)]):
            sizes = rolling.scale(
                found["spec"], None if new is None else _sizes(new), [*map(_sizes, old)]
            )
            sets = await self._resize(found, sizes, [*old, *([] if new is None else [new])])
            if found["spec"].get("paused"):
                await self._forget_history(found, old)
            await self._write(found, rollout.counted(found, new, sets, self._context.stamp()))
        elif rolling.is_rolling(found["spec"]):
            await self._roll(found, new, old)
        else:
            await self._recreate(found, new, old)

    async def _own(self, found: Object) -> list[Object]:
        selector = selectors.from_object(found["spec"]["selector"])
        owner = Owner(
            self._context, found, DEPLOYMENTS, "Deployment",
            lambda each: selector.matches(each["metadata"].get("labels")),
        )  # fmt: skip
        return await owner.claim(self._sets)

    # strategies

    async def _roll(self, found: Object, new: Object | None, old: list[Object]) -> None:
        if new is None:
            await self._make_set(found, old)
            return  # when it is seen, this goes on
        sizes = rolling.roll(found["spec"], _sizes(new), [*map(_sizes, old)])
        sets = await self._resize(found, sizes, [*old, new])
        if not sizes:
            await self._forget_history(found, old)
        await self._report(found, new, sets)

    async def _recreate(self, found: Object, new: Object | None, old: list[Object]) -> None:
        """Old pods have to be gone, not only on their way out, before there are new ones."""
        sizes = {_name(each): 0 for each in old if size(each)}
        sets = [*old, *([new] if new is not None else [])]
        if sizes or self._run(old):
            await self._report(found, new, await self._resize(found, sizes, sets))
            return
        if new is None:
            await self._make_set(found, old)
            return
        replicas = int(found["spec"].get("replicas", 1))
        sizes = {_name(new): replicas} if size(new) != replicas else {}
        sets = await self._resize(found, sizes, [*old, new])
        await self._forget_history(found, old)
        await self._report(found, new, sets)

    def _run(self, old: list[Object]) -> bool:
        """Whether any pod of these sets may still run."""
        return any(
            pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            for each in old
            for pod in self._pods.by(OWNER, each["metadata"]["uid"])
        )

    # sets

    async def _make_set(self, found: Object, old: list[Object]) -> None:
        """A set for the newest template."""
        metadata, spec = found["metadata"], found["spec"]
        collisions = found.get("status", {}).get("collisionCount", 0)
        digest = short_hash(spec["template"], collisions)
        template = copy_of(spec["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
        selector = copy_of(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH] = digest
        first = Sizes(f"{metadata['name']}-{digest}", 0, 0)
        replicas = int(spec.get("replicas", 1))
        if rolling.is_rolling(spec):
            first_size = rolling.roll(spec, first, [*map(_sizes, old)]).get(first.name, 0)
        else:
            first_size = replicas
        revision = 1 + max(map(_revision, old), default=0)
        wanted = {
            "metadata": {
                "name": first.name,
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "annotations": {**_copied(found), REVISION: str(revision), **_desired(spec)},
                "ownerReferences": [reference_to(found, "Deployment", "apps/v1")],
            },
            "spec": {"replicas": first_size, "selector": selector, "template": template,
                     "minReadySeconds": spec.get("minReadySeconds", 0)},
        }  # fmt: skip
        try:
            made = await self._context.client.create(REPLICA_SETS, wanted)
        except AlreadyExists:
            await self._collided(found, first.name, collisions)
            return
        except DockyardError as error:
            await self._refused(found, first.name, error)
            raise
        await self._say_scaled(found, made, 0, first_size)
        await self._set_revision(found, revision)
        await self._announce(
            found, "NewReplicaSetCreated", f'Created new replica set "{first.name}"'
        )

    async def _collided(self, found: Object, name: str, collisions: int) -> None:
        """The name was taken: by this very set, which our copy does not show yet, or by another
        template; then the next look takes another name."""
        live = await self._context.client.get(REPLICA_SETS, name, found["metadata"]["namespace"])
        owner = controller_of(live)
        own = owner is not None and owner["uid"] == found["metadata"]["uid"]
        if not own or _template(live) != _template(found):
            status = {**found.get("status", {}), "collisionCount": collisions + 1}
            await self._write(found, status)

    async def _refused(self, found: Object, name: str, error: DockyardError) -> None:
        message = f'Failed to create new replica set "{name}": {error}'
        await self._context.recorder.event(found, "Warning", "ReplicaSetCreateError", message)
        if rollout.has_deadline(found["spec"]):
            stamp = self._context.stamp()
            await self._write(
                found, rollout.announced(found, "ReplicaSetCreateError", message, "False", stamp)
            )

    async def _announce(self, found: Object, reason: str, message: str) -> None:
        if rollout.has_deadline(found["spec"]):
            metadata = found["metadata"]
            latest = await self._context.client.get(
                DEPLOYMENTS, metadata["name"], metadata["namespace"]
            )
            stamp = self._context.stamp()
            await self._write(latest, rollout.announced(latest, reason, message, "True", stamp))

    async def _update_new(self, found: Object, new: Object, old: list[Object]) -> Object:
        """Annotations of the Deployment; a template that was used before is the newest again."""
        revision = max(_revision(new), 1 + max(map(_revision, old), default=0))
        have = new["metadata"].get("annotations") or {}
        wanted = {**_copied(found), REVISION: str(revision)}
        if have.get(REVISION) not in (None, str(revision)):
            wanted[HISTORY] = ",".join(filter(None, (have.get(HISTORY, ""), have[REVISION])))
        seconds = int(found["spec"].get("minReadySeconds", 0))
        same = wanted.items() <= have.items()
        if not same or int(new["spec"].get("minReadySeconds", 0)) != seconds:
            metadata = new["metadata"]
            patch = {"metadata": {"annotations": wanted}, "spec": {"minReadySeconds": seconds}}
            new = await self._context.client.patch(
                REPLICA_SETS, metadata["name"], patch, metadata["namespace"]
            )
        await self._set_revision(found, revision)
        if not condition(found, "Progressing") and not found["spec"].get("paused"):
            await self._announce(
                found, "FoundNewReplicaSet", f'Found new replica set "{_name(new)}"'
            )
        return new

    async def _set_revision(self, found: Object, revision: int) -> None:
        metadata = found["metadata"]
        if (metadata.get("annotations") or {}).get(REVISION) != str(revision):
            patch = {"metadata": {"annotations": {REVISION: str(revision)}}}
            await self._context.client.patch(
                DEPLOYMENTS, metadata["name"], patch, metadata["namespace"]
            )

    async def _resize(
        self, found: Object, sizes: dict[str, int], sets: list[Object]
    ) -> list[Object]:
        """The sets as they are then."""
        desired, after = _desired(found["spec"]), []
        for each in sets:
            metadata = each["metadata"]
            wanted = sizes.get(metadata["name"], size(each))
            noted = desired.items() <= (metadata.get("annotations") or {}).items()
            if wanted == size(each) and (noted or not wanted):
                after.append(each)
                continue
            known = {"resourceVersion": metadata["resourceVersion"], "annotations": desired}
            patch = {"metadata": known, "spec": {"replicas": wanted}}
            after.append(
                await self._context.client.patch(
                    REPLICA_SETS, metadata["name"], patch, metadata["namespace"]
                )
            )
            await self._say_scaled(found, each, size(each), wanted)
        return after

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
        there = [each for each in old if "deletionTimestamp" not in each["metadata"]]
        for each in sorted(there, key=_revision)[: max(0, len(there) - limit)]:
            metadata, status = each["metadata"], each.get("status", {})
            seen = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
            if size(each) or status.get("replicas") or not seen:
                continue
            try:
                await self._context.client.delete(
                    REPLICA_SETS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
                )
            except NotFound:
                continue

    # status

    async def _report(self, found: Object, new: Object | None, sets: list[Object]) -> None:
        clock = self._context.clock
        status = rollout.progressed(found, new, sets, clock.time(), self._context.stamp())
        await self._write(found, status)
        done = rollout.is_complete(found, status)
        reason = condition({"status": status}, "Progressing").get("reason")
        if rollout.has_deadline(found["spec"]) and reason and not done:
            left = rollout.seconds_left({**found, "status": status}, clock.time())
            if reason != rollout.TIMED_OUT:
                self._queue.add_after(key_of(found), max(0.0, left) + 1)

    async def _write(self, found: Object, status: dict[str, Any]) -> None:
        if status == found.get("status", {}):
            return
        fresh = copy_of(found)
        fresh["status"] = status
        try:
            await self._context.client.update_status(DEPLOYMENTS, fresh)
        except (Conflict, NotFound):
            self._queue.add(key_of(found))  # it has changed meanwhile: look again


def _template(obj: Object) -> Any:
    """The pod template without the hash that a set's own carries."""
    template = copy_of(obj["spec"]["template"])
    labels = template.get("metadata", {}).get("labels") or {}
    labels.pop(HASH, None)
    return template


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _sizes(obj: Object) -> Sizes:
    annotations = obj["metadata"].get("annotations") or {}
    desired, most = annotations.get(DESIRED, ""), annotations.get(MOST, "")
    return Sizes(
        _name(obj), size(obj), int(obj.get("status", {}).get("availableReplicas", 0)),
        int(desired) if desired.isdecimal() else None, int(most) if most.isdecimal() else 0,
    )  # fmt: skip


def _revision(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def _created(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("creationTimestamp", ""), _name(obj)


def _copied(found: Object) -> dict[str, str]:
    """The annotations that a Deployment's sets have too (``kubernetes.io/change-cause``)."""
    annotations = found["metadata"].get("annotations") or {}
    return {name: value for name, value in annotations.items() if name not in NOT_COPIED}


def _desired(spec: Object) -> dict[str, str]:
    replicas = int(spec.get("replicas", 1))
    return {DESIRED: str(replicas), MOST: str(replicas + rolling.bounds(spec)[0])}
