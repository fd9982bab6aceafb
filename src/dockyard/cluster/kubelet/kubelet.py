"""Turns the pods that are bound to this node into workers, and wakes them on events."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import CLAIMS, CONFIG_MAPS, PODS, SECRETS, SERVICES, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.configs import Dns
from dockyard.cluster.kubelet.environment import Lookup
from dockyard.cluster.kubelet.volumes import Claims
from dockyard.cluster.kubelet.worker import Shared, Worker
from dockyard.cluster.meta.errors import NotFound
from dockyard.interfaces import cri

log = logging.getLogger("dockyard.kubelet")
SWEEP_SECONDS = 60.0


class Kubelet:
    """All pods of one node."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        runtime: cri.RuntimeService,
        images: cri.ImageService,
        clock: Clock,
        *,
        node: str,
        address: str,
        dns: Dns,
        pods_folder: Path,
    ) -> None:
        self._client, self._runtime, self._clock = client, runtime, clock
        self._pods = informers.of(PODS, fieldSelector=f"spec.nodeName={node}")
        services = informers.of(SERVICES)
        self._shared = Shared(
            client, runtime, images, Recorder(client, clock, "kubelet", node), clock, services,
            self._lookup, self._claims, pods_folder, address, dns,
        )  # fmt: skip
        self._services = services
        self._workers: dict[str, Worker] = {}
        self._tasks: Tasks | None = None

    def pod(self, namespace: str, name: str) -> Object | None:
        """A pod of this node."""
        return self._pods.get(f"{namespace}/{name}")

    async def run(self) -> None:
        """Work until cancelled; the containers go on."""
        await self._pods.synced()
        await self._services.synced()
        async with Tasks() as tasks:
            self._tasks = tasks
            self._pods.add_handler(self._changed)
            tasks.start(self._follow(), name="container events", essential=True)
            tasks.start(self._sweep(), name="sweep")
            await asyncio.Event().wait()

    def _changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None and self._tasks is not None
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if after is None:
            if worker is not None and not worker.finished:
                gone = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "now",
                                            "deletionGracePeriodSeconds": 0}}  # fmt: skip
                worker.update(gone)
            return
        if worker is None:
            worker = self._workers[uid] = Worker(self._shared, after)
            task = self._tasks.start(worker.run(), name=f"pod {key_of(after)}")
            task.add_done_callback(lambda _: self._workers.pop(uid, None))
        else:
            worker.update(after)

    async def _follow(self) -> None:
        async for event in self._runtime.get_container_events():
            if worker := self._workers.get(event.pod_uid):
                worker.wake()

    async def _sweep(self) -> None:
        """Remove sandboxes of pods that nobody knows any more."""
        while True:
            known = {pod["metadata"]["uid"] for pod in self._pods}
            try:
                for sandbox in await self._runtime.list_pod_sandbox():
                    if sandbox.uid not in known and sandbox.uid not in self._workers:
                        log.info("sandbox %s: its pod is gone", sandbox.id[:12])
                        await self._runtime.remove_pod_sandbox(sandbox.id)
            except DockyardError as error:
                log.warning("sweep: %s", error)
            await self._clock.sleep(SWEEP_SECONDS)

    async def _lookup(self, pod: Object) -> Lookup:
        """ConfigMaps and Secrets that a pod names, as they are now."""
        namespace = pod["metadata"]["namespace"]
        found: dict[tuple[str, str], Object | None] = {}
        for kind, name in _named(pod):
            resource = CONFIG_MAPS if kind == "configmaps" else SECRETS
            try:
                found[kind, name] = await self._client.get(resource, name, namespace)
            except NotFound:
                found[kind, name] = None
        return lambda kind, name: found.get((kind, name))

    async def _claims(self, pod: Object) -> Claims:
        """The volumes that a pod's claims are bound to."""
        namespace = pod["metadata"]["namespace"]
        found: dict[str, Object] = {}
        for volume in pod["spec"].get("volumes") or ():
            if "persistentVolumeClaim" not in volume:
                continue
            name = volume["persistentVolumeClaim"]["claimName"]
            try:
                claim = await self._client.get(CLAIMS, name, namespace)
                if claim.get("status", {}).get("phase") == "Bound":
                    bound = claim["spec"]["volumeName"]
                    found[name] = await self._client.get(VOLUMES, bound)
            except NotFound:
                continue
        return found.get


def _named(pod: Object) -> set[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret that a pod's volumes and variables name."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or ():
        if "configMap" in volume:
            found.add(("configmaps", volume["configMap"]["name"]))
        elif "secret" in volume:
            found.add(("secrets", volume["secret"]["secretName"]))
    for container in pod["spec"]["containers"]:
        for source in container.get("envFrom") or ():
            if "configMapRef" in source:
                found.add(("configmaps", source["configMapRef"]["name"]))
            elif "secretRef" in source:
                found.add(("secrets", source["secretRef"]["name"]))
        for entry in container.get("env") or ():
            value = entry.get("valueFrom") or {}
            if "configMapKeyRef" in value:
                found.add(("configmaps", value["configMapKeyRef"]["name"]))
            elif "secretKeyRef" in value:
                found.add(("secrets", value["secretKeyRef"]["name"]))
    return found
