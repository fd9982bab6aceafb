"""Turns a StatefulSet into pods with names that stay, one after the other, each with its claims."""

from __future__ import annotations

from typing import Any

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import CLAIMS, PODS, STATEFUL_SETS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers import identities
from dockyard.cluster.controllers.common import (
    Context,
    Owner,
    controller_of,
    index_owners,
    is_ready,
    pod_from,
    ready_since,
    reference_to,
)
from dockyard.cluster.controllers.identities import HASH, Step
from dockyard.cluster.controllers.revisions import History, template_of
from dockyard.cluster.meta import selectors
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

POD_NAME = "statefulset.kubernetes.io/pod-name"
INDEX = "apps.kubernetes.io/pod-index"
AGAIN_SECONDS = 1.0


class StatefulSets:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._sets = context.informers.of(STATEFUL_SETS)
        self._pods = context.informers.of(PODS)
        self._claims = context.informers.of(CLAIMS)
        self._history = History(context)
        index_owners(self._pods)
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
        reference = reference_to(found, "StatefulSet", "apps/v1")
        update, collisions = await self._history.newest(found, reference)
        current = found.get("status", {}).get("currentRevision") or update["metadata"]["name"]
        pods = {pod["metadata"]["name"]: pod for pod in await self._own(found)}
        now, newest = self._context.clock.time(), update["metadata"]["name"]
        failure: DockyardError | None = None
        for step in identities.next_steps(found, pods, newest, now):
            try:
                await self._do(found, step, pods, update, current)
            except DockyardError as error:
                failure = error
                break
        status = identities.described(found, list(pods.values()), current, newest, collisions, now)
        if status != found.get("status", {}):
            fresh = {**copy_of(found), "status": status}
            await self._context.client.update_status(STATEFUL_SETS, fresh)
        self._look_again(found, list(pods.values()), now)
        used = {current, newest, *map(identities.revision, pods.values())}
        await self._history.forget(found, used, int(found["spec"].get("revisionHistoryLimit", 10)))
        if failure is not None:
            raise failure

    async def _own(self, found: Object) -> list[Object]:
        selector, metadata = selectors.from_object(found["spec"]["selector"]), found["metadata"]

        def matches(pod: Object) -> bool:
            parent, _, number = str(pod["metadata"]["name"]).rpartition("-")
            named = parent == metadata["name"] and number.isdecimal()
            return named and selector.matches(pod["metadata"].get("labels"))

        owner = Owner(self._context, found, STATEFUL_SETS, "StatefulSet", matches)
        return await owner.claim(self._pods)

    def _look_again(self, found: Object, pods: list[Object], now: float) -> None:
        """When a pod that is ready has been so for long enough."""
        seconds = int(found["spec"].get("minReadySeconds") or 0)
        left = [ready_since(pod) + seconds - now for pod in pods if is_ready(pod)]
        if soon := [each for each in left if each > 0]:
            self._queue.add_after(key_of(found), min(soon))

    # steps

    async def _do(
        self, found: Object, step: Step, pods: dict[str, Object], update: Object, current: str
    ) -> None:
        if step.verb == "delete":
            if step.ordinal not in identities.ordinals(found):
                await self._keep_or_drop_claims(found, pods[step.name])
            await self._delete(found, pods[step.name])
            return
        revision = update
        if identities.keeps_current(found, step.ordinal):
            named = {each["metadata"]["name"]: each for each in self._history.of(found)}
            revision = named.get(current, update)
        await self._create(found, step, revision)

    async def _create(self, found: Object, step: Step, revision: Object) -> None:
        metadata, spec = found["metadata"], found["spec"]
        namespace, name = metadata["namespace"], step.name
        pod = pod_from(
            template_of(revision), reference_to(found, "StatefulSet", "apps/v1"), namespace
        )
        pod["metadata"]["name"] = name
        pod["metadata"].setdefault("labels", {}).update({
            HASH: revision["metadata"]["name"], POD_NAME: name, INDEX: str(step.ordinal),
        })  # fmt: skip
        pod["spec"]["hostname"] = name
        pod["spec"]["subdomain"] = spec.get("serviceName", "")
        volumes = pod["spec"].setdefault("volumes", [])
        said = f"Pod {name} in StatefulSet {metadata['name']}"
        try:
            for template in spec.get("volumeClaimTemplates") or ():
                volume = template["metadata"]["name"]
                claim = f"{volume}-{name}"
                await self._claim(found, template, claim, name)
                volumes[:] = [each for each in volumes if each["name"] != volume]
                volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
            await self._context.client.create(PODS, pod, namespace)
        except AlreadyExists:  # our copy is late, or somebody else's pod has the name
            self._queue.add_after(key_of(found), AGAIN_SECONDS)
            return
        except DockyardError as error:
            await self._say(
                found, "Warning", "FailedCreate", f"create {said} failed error: {error}"
            )
            raise
        await self._say(found, "Normal", "SuccessfulCreate", f"create {said} successful")

    async def _claim(self, found: Object, template: Object, name: str, pod: str) -> None:
        namespace = found["metadata"]["namespace"]
        if self._claims.get(f"{namespace}/{name}") is not None:
            return
        metadata = {**copy_of(template["metadata"]), "name": name, "namespace": namespace}
        labels = found["spec"]["selector"].get("matchLabels") or {}
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        if _retention(found, "whenDeleted") == "Delete":
            metadata["ownerReferences"] = [_weak(found, "StatefulSet", "apps/v1")]
        claim = {"metadata": metadata, "spec": copy_of(template["spec"])}
        try:
            await self._context.client.create(CLAIMS, claim, namespace)
        except AlreadyExists:
            return
        await self._say(
            found, "Normal", "SuccessfulCreate",
            f"create Claim {name} Pod {pod} in StatefulSet {found['metadata']['name']} success",
        )  # fmt: skip

    async def _keep_or_drop_claims(self, found: Object, pod: Object) -> None:
        """A pod that goes for good: its claims go with it where the set says so."""
        if _retention(found, "whenScaled") != "Delete":
            return
        metadata = pod["metadata"]
        for template in found["spec"].get("volumeClaimTemplates") or ():
            name = f"{template['metadata']['name']}-{metadata['name']}"
            patch = {"metadata": {"ownerReferences": [_weak(pod, "Pod", "v1")]}}
            try:
                await self._context.client.patch(CLAIMS, name, patch, metadata["namespace"])
            except NotFound:
                continue

    async def _delete(self, found: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        said = f"Pod {metadata['name']} in StatefulSet {found['metadata']['name']}"
        try:
            await self._context.client.delete(
                PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
            )
        except NotFound:
            return
        except DockyardError as error:
            await self._say(
                found, "Warning", "FailedDelete", f"delete {said} failed error: {error}"
            )
            raise
        await self._say(found, "Normal", "SuccessfulDelete", f"delete {said} successful")

    async def _say(self, found: Object, kind: str, reason: str, message: str) -> None:
        await self._context.recorder.event(found, kind, reason, message)


def _retention(found: Object, when: str) -> str:
    policy = found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return str(policy.get(when, "Retain"))


def _weak(owner: Object, kind: str, api_version: str) -> dict[str, Any]:
    """A reference that only says with whom something goes."""
    metadata = owner["metadata"]
    return {"apiVersion": api_version, "kind": kind, "name": metadata["name"],
            "uid": metadata["uid"]}  # fmt: skip
