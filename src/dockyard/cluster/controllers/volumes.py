"""Turns claims into volumes: binds those that fit, and provisions ``local-path`` ones on a node.

A local-path volume is a folder of the node's, named in a hostPath volume with the node's affinity;
the kubelet makes the folder when the first pod mounts it. With ``Delete`` the volume goes with its
claim, when the kubelet has removed the folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import CLAIMS, STORAGE_CLASSES, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta import quantity, selectors
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

PROVISIONER, NO_PROVISIONER = "dockyard.io/local-path", "kubernetes.io/no-provisioner"
CLASS = "local-path"
FINALIZER = "dockyard.io/local-path"
"""Taken off by the node's kubelet when the volume's folder is gone."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BY_CONTROLLER = {"pv.kubernetes.io/bound-by-controller": "yes"}
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


class PersistentVolumes:
    """The binder and the provisioner."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue, self._free = WorkQueue(context.clock), WorkQueue(context.clock)
        self._claims = context.informers.of(CLAIMS)
        self._volumes = context.informers.of(VOLUMES)
        self._classes = context.informers.of(STORAGE_CLASSES)
        self._claims.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._volumes.add_handler(self._volume_changed)
        self._classes.add_handler(self._class_changed)

    def _volume_changed(self, before: Object | None, after: Object | None) -> None:
        found = after or before
        assert found is not None
        reference = found["spec"].get("claimRef")
        if reference:
            self._queue.add(f"{reference['namespace']}/{reference['name']}")
        elif after is not None:
            self._free.add(key_of(after))
            for claim in self._claims:
                if claim.get("status", {}).get("phase") != "Bound":
                    self._queue.add(key_of(claim))
        if after is None:  # who was bound to it has lost it
            for claim in self._claims:
                if claim["spec"].get("volumeName") == found["metadata"]["name"]:
                    self._queue.add(key_of(claim))

    def _class_changed(self, before: Object | None, after: Object | None) -> None:
        for claim in self._claims:
            if claim.get("status", {}).get("phase") != "Bound":
                self._queue.add(key_of(claim))

    async def run(self) -> None:
        await self._context.informers.synced()
        await self._make_class()
        async with Tasks() as tasks:
            tasks.start(work("free volumes", self._free, self._is_free, workers=1),
                        name="free volumes", essential=True)  # fmt: skip
            await work("persistentvolume", self._queue, self._sync, workers=1)

    async def _is_free(self, name: str) -> None:
        """A volume that nobody has claimed says so."""
        volume = self._volumes.get(name)
        if volume is None or volume["spec"].get("claimRef"):
            return
        await self._volume_phase(volume, "Available")

    async def _make_class(self) -> None:
        mark = {"storageclass.kubernetes.io/is-default-class": "true"}
        found = {
            "metadata": {"name": CLASS, "annotations": mark},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        try:
            await self._context.client.create(STORAGE_CLASSES, found)
        except AlreadyExists:
            return

    async def _sync(self, key: str) -> None:
        claim = self._claims.get(key)
        if claim is None:
            await self._release(key)
            return
        if "deletionTimestamp" in claim["metadata"]:
            return
        if name := claim["spec"].get("volumeName"):
            await self._settle(claim, name)
            return
        chosen = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
        within_reach = [each for each in self._volumes
                        if not chosen or _names(each["spec"].get("claimRef") or {}, claim)
                        or not each["spec"].get("nodeAffinity")]  # fmt: skip
        volume = best(within_reach, claim, any_of_them=not self._is_delayed(claim))
        if volume is None:
            volume = await self._provision(claim)
        if volume is not None:
            await self._bind(claim, volume)

    def _is_delayed(self, claim: Object) -> bool:
        """Whether it waits for the scheduler to say on which node its first pod will run.

        Where nothing can be provisioned the volume comes first, and the pod follows it.
        """
        found = self._classes.get(claim["spec"].get("storageClassName") or "")
        if found is None or found["provisioner"] == NO_PROVISIONER:
            return False
        chosen = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
        return found.get("volumeBindingMode") == "WaitForFirstConsumer" and not chosen

    async def _bind(self, claim: Object, volume: Object) -> None:
        metadata = claim["metadata"]
        reference = {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"],
            "namespace": metadata["namespace"], "uid": metadata["uid"],
        }  # fmt: skip
        if (volume["spec"].get("claimRef") or {}).get("uid") != metadata["uid"]:
            # of the volume as it was seen: nobody else has claimed it since (Conflict)
            revision = volume["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": revision, "annotations": BY_CONTROLLER},
                     "spec": {"claimRef": reference}}  # fmt: skip
            await self._context.client.patch(VOLUMES, volume["metadata"]["name"], patch)
        patch = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                 "spec": {"volumeName": volume["metadata"]["name"]}}  # fmt: skip
        await self._context.client.patch(CLAIMS, metadata["name"], patch, metadata["namespace"])

    async def _settle(self, claim: Object, name: str) -> None:
        """Claim and volume say Bound when they name each other."""
        volume, metadata = self._volumes.get(name), claim["metadata"]
        phase = claim.get("status", {}).get("phase")
        reference = (volume or {}).get("spec", {}).get("claimRef") or {}
        if volume is None or (reference and not _names(reference, claim)):
            if phase == "Bound":
                await self._claim_phase(claim, "Lost", None)
                what = ("Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                        if volume is None else
                        "Bound claim has lost reference to PersistentVolume. "
                        "Data on the volume is lost!")  # fmt: skip
                reason = "ClaimLost" if volume is None else "ClaimMisbound"
                await self._context.recorder.event(claim, "Warning", reason, what)
            elif volume is not None:
                await self._context.recorder.event(
                    claim, "Warning", "FailedBinding",
                    f'volume "{name}" already bound to a different claim.',
                )  # fmt: skip
            return
        if reference.get("uid") != metadata["uid"]:  # the claim has named it, or both each other
            await self._bind(claim, volume)
            return
        await self._volume_phase(volume, "Bound")
        if phase != "Bound":
            await self._claim_phase(claim, "Bound", volume)

    async def _volume_phase(self, volume: Object, phase: str) -> None:
        if volume.get("status", {}).get("phase") == phase:
            return
        status = {"phase": phase, "lastPhaseTransitionTime": self._context.stamp()}
        fresh = {**copy_of(volume), "status": status}
        await self._context.client.update_status(VOLUMES, fresh)

    async def _claim_phase(self, claim: Object, phase: str, volume: Object | None) -> None:
        fresh = copy_of(claim)
        fresh["status"] = {"phase": phase}
        if volume is not None:
            fresh["status"]["accessModes"] = volume["spec"]["accessModes"]
            fresh["status"]["capacity"] = volume["spec"]["capacity"]
        await self._context.client.update_status(CLAIMS, fresh)

    async def _provision(self, claim: Object) -> Object | None:
        """A new volume for a claim of our class, on the node that the scheduler chose."""
        name = claim["spec"].get("storageClassName") or ""
        found = self._classes.get(name)
        if found is None:
            if name:
                message = f'storageclass.storage.k8s.io "{name}" not found'
                await self._say(claim, "Warning", "ProvisioningFailed", message)
            else:
                message = (
                    "no persistent volumes available for this claim and no storage class is set"
                )
                await self._say(claim, "Normal", "FailedBinding", message)
            return None
        if self._is_delayed(claim):
            message = "waiting for first consumer to be created before binding"
            await self._say(claim, "Normal", "WaitForFirstConsumer", message)
            return None
        if found["provisioner"] != PROVISIONER:
            return None
        node = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
        if not node:
            message = f"{PROVISIONER}: volumes are on a node: volumeBindingMode has to be " \
                      "WaitForFirstConsumer"  # fmt: skip
            await self._say(claim, "Warning", "ProvisioningFailed", message)
            return None
        name = f"pvc-{claim['metadata']['uid']}"
        try:
            made = await self._context.client.create(
                VOLUMES, self._volume(claim, found, name, node)
            )
        except AlreadyExists:
            return await self._context.client.get(VOLUMES, name)
        message = f"Successfully provisioned volume {name}"
        await self._say(claim, "Normal", "ProvisioningSucceeded", message)
        return made

    def _volume(self, claim: Object, found: Object, name: str, node: str) -> dict[str, Any]:
        term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        return {
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER},
                         "finalizers": [FINALIZER]},
            "spec": {
                "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
                "accessModes": claim["spec"]["accessModes"],
                "persistentVolumeReclaimPolicy": found.get("reclaimPolicy", "Delete"),
                "storageClassName": found["metadata"]["name"],
                "hostPath": {"path": f"{self._context.local_path}/{name}",
                             "type": "DirectoryOrCreate"},
                "nodeAffinity": {"required": {
                    "nodeSelectorTerms": [{"matchExpressions": [term]}]}},
            },
        }  # fmt: skip

    async def _say(self, claim: Object, kind: str, reason: str, message: str) -> None:
        await self._context.recorder.event(claim, kind, reason, message)

    async def _release(self, key: str) -> None:
        """A claim has gone: its volume goes with it, or is kept as its policy says."""
        for volume in self._volumes:
            reference = volume["spec"].get("claimRef")
            if not reference or f"{reference['namespace']}/{reference['name']}" != key:
                continue
            annotations = volume["metadata"].get("annotations") or {}
            if (
                volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
                and annotations.get(PROVISIONED_BY) == PROVISIONER
            ):
                try:
                    await self._context.client.delete(VOLUMES, volume["metadata"]["name"])
                except NotFound:
                    continue
            else:
                await self._volume_phase(volume, "Released")


def best(volumes: Iterable[Object], claim: Object, *, any_of_them: bool) -> Object | None:
    """The volume that a claim gets: one that names it, else (if it may) the smallest that does."""
    found = [each for each in volumes if fits(each, claim)]
    named = [each for each in found if each["spec"].get("claimRef")]
    if named or not any_of_them:
        return named[0] if named else None

    def order(volume: Object) -> tuple[Decimal, str]:
        return quantity.value_of(volume["spec"]["capacity"]["storage"]), volume["metadata"]["name"]

    return min(found, key=order, default=None)


def _names(reference: Object, claim: Object) -> bool:
    """Whether a volume's reference means this very claim."""
    metadata = claim["metadata"]
    named = reference.get("namespace"), reference.get("name")
    same = named == (metadata["namespace"], metadata["name"])
    return same and reference.get("uid", metadata["uid"]) == metadata["uid"]


def fits(volume: Object, claim: Object) -> bool:
    """Whether a volume that nobody has would do for a claim."""
    spec, wanted = volume["spec"], claim["spec"]
    reference = spec.get("claimRef")
    if reference and not _names(reference, claim):
        return False
    size = wanted.get("resources", {}).get("requests", {}).get("storage", "0")
    selector = wanted.get("selector")
    return (
        (bool(reference) or spec.get("storageClassName", "") == (
            wanted.get("storageClassName") or ""))
        and set(wanted.get("accessModes", ())) <= set(spec.get("accessModes", ()))
        and spec.get("volumeMode", "Filesystem") == wanted.get("volumeMode", "Filesystem")
        and quantity.value_of(spec["capacity"]["storage"]) >= quantity.value_of(size)
        and "deletionTimestamp" not in volume["metadata"]
        and (selector is None
             or selectors.from_object(selector).matches(volume["metadata"].get("labels")))
    )  # fmt: skip
