"""Turns ``local-path`` volumes of this node that are to go into nothing: their folders are removed.

The provisioner gives each volume a finalizer: a volume that was deleted while this node was down
stays until the node is back and has removed its data. Nothing is removed while a pod still uses it,
while its claim is still there, where the reclaim policy says otherwise, or outside our folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import CLAIMS, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.kubelet.references import claim_names
from dockyard.cluster.kubelet.volumes.removal import remove_tree
from dockyard.cluster.meta.errors import NotFound

log = logging.getLogger("dockyard.kubelet")
FINALIZER = "dockyard.io/local-path"
HOSTNAME = "kubernetes.io/hostname"
AGAIN_SECONDS = 5.0


class LocalVolumes:
    """Cleans up after the provisioner on one node."""

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, *, node: str, folder: Path,
        pods: Callable[[], Iterable[Object]],
    ) -> None:  # fmt: skip
        """``folder``: where the volumes are. ``pods``: those of this node."""
        self._client, self._clock, self._node = client, clock, node
        self._folder, self._pods = folder, pods
        self._queue = WorkQueue(clock)
        self._volumes = informers.of(VOLUMES)
        self._volumes.add_handler(self._changed)

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if after is not None and is_due(after, self._node):
            self._queue.add(key_of(after))

    async def run(self) -> None:
        """Until cancelled."""
        await self._volumes.synced()
        await work("local volumes", self._queue, self._sync, workers=1)

    async def _sync(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None or not is_due(volume, self._node):
            return
        reference = volume["spec"].get("claimRef") or {}
        if self._is_used(reference) or await self._is_claimed(reference):
            self._queue.add_after(name, AGAIN_SECONDS)
            return
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            path = Path(volume["spec"]["hostPath"]["path"])
            if path == self._folder / name:
                await in_thread(self._clock, remove_tree, path)
            else:
                log.warning("volume %s: %s is not below %s: left alone", name, path, self._folder)
        metadata = volume["metadata"]
        rest = [each for each in metadata["finalizers"] if each != FINALIZER]
        known = {part: metadata[part] for part in ("uid", "resourceVersion")}
        patch = {"metadata": {**known, "finalizers": rest or None}}
        await self._client.patch(VOLUMES, name, patch)

    def _is_used(self, reference: Object) -> bool:
        return any(
            pod["metadata"]["namespace"] == reference.get("namespace")
            and reference.get("name") in claim_names(pod)
            for pod in self._pods()
        )

    async def _is_claimed(self, reference: Object) -> bool:
        if not reference:
            return False
        try:
            claim = await self._client.get(CLAIMS, reference["name"], reference["namespace"])
        except NotFound:
            return False
        return bool(claim["metadata"]["uid"] == reference.get("uid"))


def is_due(volume: Object, node: str) -> bool:
    """Whether a volume is ours, on this node, and to go. Pure."""
    metadata, spec = volume["metadata"], volume["spec"]
    if "deletionTimestamp" not in metadata or FINALIZER not in (metadata.get("finalizers") or ()):
        return False
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    return "hostPath" in spec and any(
        term.get("key") == HOSTNAME and node in (term.get("values") or ())
        for each in required.get("nodeSelectorTerms") or ()
        for term in each.get("matchExpressions") or ()
    )
