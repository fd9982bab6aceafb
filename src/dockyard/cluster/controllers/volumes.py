"""Turns claims into volumes: binds those that fit, and provisions ``local-path`` ones on a node.

A local-path volume is a folder of the node's, named in a hostPath volume with the node's affinity;
the kubelet makes the folder when the first pod mounts it. With ``Delete`` the volume goes with its
claim.
"""

from __future__ import annotations

from typing import Any

from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import CLAIMS, STORAGE_CLASSES, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.meta import quantity
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

PROVISIONER = "dockyard.io/local-path"
CLASS = "local-path"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BY_CONTROLLER = {"pv.kubernetes.io/bound-by-controller": "yes"}
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


class PersistentVolumes:
    """The binder and the provisioner."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue = WorkQueue(context.clock)
        self._claims = context.informers.of(CLAIMS)
        self._volumes = context.informers.of(VOLUMES)
        self._classes = context.informers.of(STORAGE_CLASSES)
        self._claims.add_handler(
            lambda before, after: self._queue.add(key_of(after or before))  # type: ignore[arg-type]
        )
        self._volumes.add_handler(self._volume_changed)

    def _volume_changed(self, before: Object | None, after: Object | None) -> None:
        if after is None:
            return
        reference = after["spec"].get("claimRef")
        if reference:
            self._queue.add(f"{reference['namespace']}/{reference['name']}")
        else:
            for claim in self._claims:
                if not claim["spec"].get("volumeName"):
                    self._queue.add(key_of(claim))

    async def run(self) -> None:
        await self._context.informers.synced()
        await self._make_class()
        await work("persistentvolume", self._queue, self._sync, workers=1)

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
        volume = next((v for v in self._volumes if fits(v, claim)), None)
        if volume is None:
            volume = await self._provision(claim)
        if volume is not None:
            await self._bind(claim, volume)

    async def _bind(self, claim: Object, volume: Object) -> None:
        metadata = claim["metadata"]
        reference = {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"],
            "namespace": metadata["namespace"], "uid": metadata["uid"],
        }  # fmt: skip
        if (volume["spec"].get("claimRef") or {}).get("uid") != metadata["uid"]:
            patch = {"metadata": {"annotations": BY_CONTROLLER},
                     "spec": {"claimRef": reference}}  # fmt: skip
            await self._context.client.patch(VOLUMES, volume["metadata"]["name"], patch)
        patch = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                 "spec": {"volumeName": volume["metadata"]["name"]}}  # fmt: skip
        await self._context.client.patch(CLAIMS, metadata["name"], patch, metadata["namespace"])

    async def _settle(self, claim: Object, name: str) -> None:
        """Claim and volume say Bound when they name each other."""
        volume = self._volumes.get(name)
        if volume is None:
            if claim.get("status", {}).get("phase") == "Bound":
                await self._claim_phase(claim, "Lost", None)
            return
        if (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
            return
        if volume.get("status", {}).get("phase") != "Bound":
            fresh = copy_of(volume)
            fresh["status"] = {"phase": "Bound"}
            await self._context.client.update_status(VOLUMES, fresh)
        if claim.get("status", {}).get("phase") != "Bound":
            await self._claim_phase(claim, "Bound", volume)

    async def _claim_phase(self, claim: Object, phase: str, volume: Object | None) -> None:
        fresh = copy_of(claim)
        fresh["status"] = {"phase": phase}
        if volume is not None:
            fresh["status"]["accessModes"] = volume["spec"]["accessModes"]
            fresh["status"]["capacity"] = volume["spec"]["capacity"]
        await self._context.client.update_status(CLAIMS, fresh)

    async def _provision(self, claim: Object) -> Object | None:
        """A new volume for a claim of our class, on the node that the scheduler chose."""
        found = self._classes.get(claim["spec"].get("storageClassName") or "")
        if found is None or found["provisioner"] != PROVISIONER:
            return None
        annotations = claim["metadata"].get("annotations") or {}
        node = annotations.get(SELECTED_NODE)
        if not node:
            if found.get("volumeBindingMode") == "WaitForFirstConsumer":
                message = "waiting for first consumer to be created before binding"
                await self._say_once(claim, "WaitForFirstConsumer", message)
            return None
        name = f"pvc-{claim['metadata']['uid']}"
        try:
            return await self._context.client.create(
                VOLUMES, self._volume(claim, found, name, node)
            )
        except AlreadyExists:
            return await self._context.client.get(VOLUMES, name)

    def _volume(self, claim: Object, found: Object, name: str, node: str) -> dict[str, Any]:
        term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        return {
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
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

    async def _say_once(self, claim: Object, reason: str, message: str) -> None:
        await self._context.recorder.event(claim, "Normal", reason, message)

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
            elif volume.get("status", {}).get("phase") != "Released":
                fresh = copy_of(volume)
                fresh["status"] = {"phase": "Released"}
                await self._context.client.update_status(VOLUMES, fresh)


def fits(volume: Object, claim: Object) -> bool:
    """Whether a volume that nobody has would do for a claim."""
    spec, wanted = volume["spec"], claim["spec"]
    reference = spec.get("claimRef")
    if reference:
        metadata = claim["metadata"]
        same = (reference["namespace"], reference["name"]) == (
            metadata["namespace"], metadata["name"]
        )  # fmt: skip
        return same and reference.get("uid", metadata["uid"]) == metadata["uid"]
    size = wanted.get("resources", {}).get("requests", {}).get("storage", "0")
    return (
        spec.get("storageClassName", "") == (wanted.get("storageClassName") or "")
        and set(wanted.get("accessModes", ())) <= set(spec.get("accessModes", ()))
        and spec.get("volumeMode", "Filesystem") == wanted.get("volumeMode", "Filesystem")
        and quantity.value_of(spec["capacity"]["storage"]) >= quantity.value_of(size)
        and "deletionTimestamp" not in volume["metadata"]
    )
