"""Turns the pods that are bound to this node into workers, and wakes them on events."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks, in_thread
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import PODS, SERVICES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import nodeinfo, strays
from dockyard.cluster.kubelet.announcer import Announcer
from dockyard.cluster.kubelet.localpath import LocalVolumes
from dockyard.cluster.kubelet.probing import Prober
from dockyard.cluster.kubelet.pulling import Puller
from dockyard.cluster.kubelet.references import References
from dockyard.cluster.kubelet.sandboxconfig import Dns
from dockyard.cluster.kubelet.shared import Shared
from dockyard.cluster.kubelet.starting import Starter
from dockyard.cluster.kubelet.statusmanager import StatusManager
from dockyard.cluster.kubelet.stopping import Stopper
from dockyard.cluster.kubelet.worker import Worker
from dockyard.interfaces import cri

log = logging.getLogger("dockyard.kubelet")
SWEEP_SECONDS = 30.0
EVENTS_PAUSE = 1.0


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
        memory_folder: Path,
        local_folder: Path | None = None,
    ) -> None:
        """``local_folder``: of ``local-path`` volumes; beside that of the pods, if not said."""
        self._runtime, self._clock = runtime, clock
        self._pods = informers.of(PODS, fieldSelector=f"spec.nodeName={node}")
        self._services = informers.of(SERVICES)
        announcer = Announcer(Recorder(client, clock, "kubelet", node))
        prober, puller = Prober(runtime, clock), Puller(images, announcer, clock)
        pods_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._shared = Shared(
            runtime=runtime,
            clock=clock,
            announcer=announcer,
            statuses=StatusManager(client, clock),
            references=References(client),
            puller=puller,
            prober=prober,
            starter=Starter(runtime, puller, prober, announcer),
            stopper=Stopper(runtime, prober, announcer, clock),
            services=self._services,
            pods_folder=pods_folder,
            memory_folder=memory_folder,
            node=node,
            host_ip=address,
            labels=nodeinfo.labels(node),
            capacity=nodeinfo.capacity(pods_folder),
            node_memory=nodeinfo.memory_total(),
            dns=dns,
        )
        self._workers: dict[str, Worker] = {}
        self._local = LocalVolumes(
            client, informers, clock, node=node, pods=self.pods,
            folder=local_folder or pods_folder.parent / "local-path",
        )  # fmt: skip

    def pod(self, namespace: str, name: str) -> Object | None:
        """A pod of this node."""
        return self._pods.get(f"{namespace}/{name}")

    def pods(self) -> list[Object]:
        """Every pod of this node."""
        return list(self._pods)

    async def run(self) -> None:
        """Work until cancelled; the containers go on."""
        await self._pods.synced()
        await self._services.synced()
        async with Tasks() as tasks:
            self._tasks = tasks
            tasks.start(self._shared.announcer.run(), name="events", essential=True)
            tasks.start(self._shared.statuses.run(), name="statuses", essential=True)
            tasks.start(self._follow(), name="container events", essential=True)
            tasks.start(self._local.run(), name="local volumes", essential=True)
            self._pods.add_handler(self._changed)
            tasks.start(self._sweep(), name="sweep", essential=True)
            await asyncio.Event().wait()

    def _changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None
        uid = pod["metadata"]["uid"]
        if before is not None and before["metadata"]["uid"] != uid:
            self._gone(before)
        if after is None:
            self._gone(pod)
        elif uid in self._workers:
            self._workers[uid].update(after)
        else:
            self._begin(after)

    def _begin(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers[uid] = Worker(self._shared, pod)
        task = self._tasks.start(worker.run(), name=f"pod {key_of(pod)}")
        task.add_done_callback(lambda _: self._workers.pop(uid, None))

    def _gone(self, pod: Object) -> None:
        """The API has forgotten a pod that may still run: it was deleted without grace."""
        uid = pod["metadata"]["uid"]
        self._shared.statuses.forget(uid)
        worker = self._workers.get(uid)
        if worker is not None and not worker.finished:
            metadata = {**pod["metadata"], "deletionGracePeriodSeconds": 0}
            metadata.setdefault("deletionTimestamp", "1970-01-01T00:00:00Z")
            worker.update({**pod, "metadata": metadata})

    async def _follow(self) -> None:
        """Wake workers on events; a stream that ends is opened again, and all are woken."""
        while True:
            try:
                async for event in self._runtime.get_container_events():
                    if worker := self._workers.get(event.pod_uid):
                        worker.wake()
            except (DockyardError, OSError) as error:
                log.warning("container events: %s", error)
            await self._clock.sleep(EVENTS_PAUSE)
            for worker in list(self._workers.values()):
                worker.wake()

    def _known(self) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self._pods} | self._workers.keys()

    async def _sweep(self) -> None:
        """Remove what belongs to pods that nobody knows any more; start workers that are missing.

        A worker that failed for a reason of ours is started again here.
        """
        while True:
            pods = list(self._pods)
            for pod in pods:
                if pod["metadata"]["uid"] not in self._workers:
                    self._begin(pod)
            self._shared.references.keep_only(iter(pods))
            shared = self._shared
            try:
                # first what is there, then who is known: a pod that comes meanwhile is left alone
                for sandbox in await self._runtime.list_pod_sandbox():
                    if sandbox.uid not in self._known():
                        log.info("sandbox %s: its pod is gone", sandbox.id[:12])
                        await self._runtime.remove_pod_sandbox(sandbox.id)
                folders = await in_thread(
                    self._clock, strays.find, shared.pods_folder, shared.memory_folder
                )
                known = self._known()
                gone = [folder for folder, uid in folders if uid not in known]
                await in_thread(self._clock, strays.remove, gone)
            except (DockyardError, OSError) as error:
                log.warning("sweep: %s", error)
            await self._clock.sleep(SWEEP_SECONDS)
