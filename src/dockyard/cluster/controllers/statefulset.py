"""Turns a StatefulSet into pods with names that stay, one after the other, each with its claims."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import CLAIMS, PODS, STATEFUL_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import (
    OWNER,
    Context,
    controller_of,
    is_active,
    is_ready,
    owner_uids,
    pod_from,
    reference_to,
    short_hash,
)
from dockyard.cluster.meta.errors import AlreadyExists

HASH = "controller-revision-hash"
POD_NAME = "statefulset.kubernetes.io/pod-name"
INDEX = "apps.kubernetes.io/pod-index"


class StatefulSets:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._sets = context.informers.of(STATEFUL_SETS)
        self._pods = context.informers.of(PODS)
        self._pods.add_index(OWNER, owner_uids)
        self._sets.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None
        owner = controller_of(pod)
        if owner and owner["kind"] == "StatefulSet":
            self._queue.add(f"{pod['metadata']['namespace']}/{owner['name']}")

    async def run(self) -> None:
        await self._context.informers.synced()
        await work("statefulset", self._queue, self._sync, workers=2)

    async def _sync(self, key: str) -> None:
        found = self._sets.get(key)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        uid, revision = found["metadata"]["uid"], revision_of(found)
        pods = {pod["metadata"]["name"]: pod for pod in self._pods.by(OWNER, uid)}
        step = next_step(found, pods, revision)
        if step is not None:
            verb, name, ordinal = step
            if verb == "create":
                await self._create(found, name, ordinal, revision)
            else:
                await self._delete(found, pods[name])
        await self._update_status(found, list(pods.values()), revision)

    async def _create(self, found: Object, name: str, ordinal: int, revision: str) -> None:
        spec, namespace = found["spec"], found["metadata"]["namespace"]
        pod = pod_from(spec["template"], reference_to(found, "StatefulSet", "apps/v1"), namespace)
        metadata = pod["metadata"]
        metadata["name"] = name
        metadata.setdefault("labels", {}).update(
            {HASH: revision, POD_NAME: name, INDEX: str(ordinal)}
        )
        pod["spec"]["hostname"] = name
        pod["spec"]["subdomain"] = spec.get("serviceName", "")
        volumes = pod["spec"].setdefault("volumes", [])
        for template in spec.get("volumeClaimTemplates") or ():
            volume = template["metadata"]["name"]
            claim = f"{volume}-{name}"
            await self._claim(found, template, claim, namespace)
            volumes[:] = [each for each in volumes if each["name"] != volume]
            volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
        try:
            await self._context.client.create(PODS, pod, namespace)
        except AlreadyExists:  # the one before is still on its way out
            self._queue.add_after(key_of(found), 1.0)
            return
        await self._context.recorder.event(
            found, "Normal", "SuccessfulCreate",
            f"create Pod {name} in StatefulSet {found['metadata']['name']} successful",
        )  # fmt: skip

    async def _claim(self, found: Object, template: Object, name: str, namespace: str) -> None:
        claim = {"metadata": {**copy_of(template["metadata"]), "name": name,
                              "namespace": namespace},
                 "spec": copy_of(template["spec"])}  # fmt: skip
        labels = found["spec"]["selector"].get("matchLabels") or {}
        claim["metadata"]["labels"] = {**(claim["metadata"].get("labels") or {}), **labels}
        try:
            await self._context.client.create(CLAIMS, claim, namespace)
        except AlreadyExists:
            return

    async def _delete(self, found: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        await self._context.client.delete(
            PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
        )
        await self._context.recorder.event(
            found, "Normal", "SuccessfulDelete",
            f"delete Pod {metadata['name']} in StatefulSet {found['metadata']['name']} successful",
        )  # fmt: skip

    async def _update_status(self, found: Object, pods: list[Object], revision: str) -> None:
        active = [pod for pod in pods if is_active(pod)]
        ready = [pod for pod in active if is_ready(pod)]
        updated = [p for p in active if (p["metadata"].get("labels") or {}).get(HASH) == revision]
        replicas = int(found["spec"].get("replicas", 1))
        before = found.get("status", {})
        done = len(updated) == len(ready) == replicas
        current = revision if done else before.get("currentRevision", revision)
        on_current = sum((p["metadata"].get("labels") or {}).get(HASH) == current for p in active)
        status: dict[str, Any] = {
            "observedGeneration": found["metadata"].get("generation", 0),
            "replicas": len(active),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
            "currentReplicas": on_current,
            "updatedReplicas": len(updated),
            "currentRevision": f"{current}",
            "updateRevision": revision,
            "collisionCount": 0,
        }
        required = ("replicas", "availableReplicas", "collisionCount")
        status = {name: value for name, value in status.items() if value or name in required}
        if status != before:
            fresh = copy_of(found)
            fresh["status"] = status
            await self._context.client.update_status(STATEFUL_SETS, fresh)


def revision_of(found: Object) -> str:
    """The name of the revision that the template is."""
    return f"{found['metadata']['name']}-{short_hash(found['spec']['template'])}"


def next_step(found: Object, pods: dict[str, Object], revision: str) -> tuple[str, str, int] | None:
    """(``create`` or ``delete``, pod, ordinal): the one thing to do now. Pure.

    In order: each pod waits until the one before it is ready; the last one goes first; updates go
    from the last to the first, and never past a pod that is not ready.
    """
    spec, name = found["spec"], found["metadata"]["name"]
    replicas = int(spec.get("replicas", 1))
    start = int((spec.get("ordinals") or {}).get("start", 0))
    wanted = [(f"{name}-{start + i}", start + i) for i in range(replicas)]
    parallel = spec.get("podManagementPolicy") == "Parallel"
    for pod_name, ordinal in wanted:
        pod = pods.get(pod_name)
        if pod is None:
            return "create", pod_name, ordinal
        phase = pod.get("status", {}).get("phase")
        if phase in ("Failed", "Succeeded") and "deletionTimestamp" not in pod["metadata"]:
            return "delete", pod_name, ordinal
        if not parallel and ("deletionTimestamp" in pod["metadata"] or not is_ready(pod)):
            if (
                _stale(pod, revision)
                and "deletionTimestamp" not in pod["metadata"]
                and not (is_ready(pod) or spec.get("updateStrategy", {}).get("type") == "OnDelete")
            ):
                return "delete", pod_name, ordinal  # a broken update is mended by the next one
            return None
    names = {pod_name for pod_name, _ in wanted}
    surplus = sorted((n for n in pods if n not in names), key=_ordinal, reverse=True)
    for pod_name in surplus:
        if "deletionTimestamp" not in pods[pod_name]["metadata"]:
            return "delete", pod_name, _ordinal(pod_name)
        return None
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return None
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    partition = int(rolling.get("partition", 0))
    for pod_name, ordinal in reversed(wanted):
        if ordinal < partition:
            break
        if _stale(pods[pod_name], revision):
            return "delete", pod_name, ordinal
    return None


def _stale(pod: Object, revision: str) -> bool:
    return (pod["metadata"].get("labels") or {}).get(HASH) != revision


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1
