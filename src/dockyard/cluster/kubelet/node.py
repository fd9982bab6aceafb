"""Turns this machine into a Node object, and its being alive into a lease."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import LEASES, NODES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import nodeinfo
from dockyard.cluster.meta.errors import AlreadyExists, NotFound
from dockyard.interfaces.cri import Image, ImageService, RuntimeService

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS, RENEW_SECONDS = 40, 10.0
LOOK_SECONDS, REPORT_SECONDS = 10.0, 300.0
"""How often the machine is looked at, and how often its status is written when nothing differs."""
MOST_IMAGES = 50


class NodeStatus:
    """Registers the node and keeps its status and lease fresh."""

    def __init__(
        self, client: Client, clock: Clock, runtime: RuntimeService, images: ImageService, *,
        name: str, address: str, port: int, release: str, folder: Path,
    ) -> None:  # fmt: skip
        """``port``: the kubelet's. ``folder``: where containers are kept."""
        self._client, self._clock = client, clock
        self._runtime, self._images = runtime, images
        self._name, self._address, self._port = name, address, port
        self._release, self._folder = release, folder
        self._reported = 0.0
        self._version = ("unknown", "unknown")

    async def register(self) -> None:
        """Make the Node, or take over the one that is there, and say that it is ready."""
        labels = nodeinfo.labels(self._name)
        try:
            node = await self._client.create(
                NODES, {"metadata": {"name": self._name, "labels": labels}, "spec": {}}
            )
        except AlreadyExists:
            node = await self._client.get(NODES, self._name)
            have = node["metadata"].get("labels") or {}
            if any(have.get(key) != value for key, value in labels.items()):
                node = await self._client.patch(NODES, self._name, {"metadata": {"labels": labels}})
        await self._update(node)

    async def run(self) -> None:
        """Keep the status right until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                node = await self._client.get(NODES, self._name)
            except NotFound:
                await self.register()
            else:
                await self._update(node)

    async def renew(self) -> None:
        """A lease every ten seconds."""
        while True:
            stamp = now.micro_stamp(self._clock.time())
            spec = {"holderIdentity": self._name, "leaseDurationSeconds": LEASE_SECONDS,
                    "renewTime": stamp}  # fmt: skip
            try:
                await self._client.patch(LEASES, self._name, {"spec": spec}, LEASE_NAMESPACE)
            except NotFound:
                await self._create_lease(spec)
            await self._clock.sleep(RENEW_SECONDS)

    async def _create_lease(self, spec: dict[str, Any]) -> None:
        node = await self._client.get(NODES, self._name)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._name,
                 "uid": node["metadata"]["uid"]}  # fmt: skip
        metadata = {"name": self._name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
        await self._client.create(LEASES, {"metadata": metadata, "spec": spec})

    async def _update(self, node: Object) -> None:
        """Write the status if it differs, or was not written for long."""
        fresh = await self._status(node)
        before = node.get("status", {})
        due = self._clock.monotonic() - self._reported >= REPORT_SECONDS or not self._reported
        if due or _without_heartbeats(before) != _without_heartbeats({**before, **fresh}):
            await self._client.patch(NODES, self._name, {"status": fresh}, subresource="status")
            self._reported = self._clock.monotonic() or 1.0

    async def _status(self, node: Object) -> dict[str, Any]:
        machine = await in_thread(self._clock, nodeinfo.measure, self._folder)
        unready, runtime = await self._runtime_state()
        stamp = now.stamp(self._clock.time())
        old = {each["type"]: each for each in node.get("status", {}).get("conditions") or ()}
        conditions = [
            _condition(*each, old.pop(each[0], None), stamp)
            for each in nodeinfo.conditions(machine, unready)
        ]
        capacity = nodeinfo.capacity(self._folder)
        images = sorted(await self._list_images(), key=lambda each: -each.size)
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [*map(dict, old.values()), *conditions],
            "addresses": [{"type": "InternalIP", "address": self._address},
                          {"type": "Hostname", "address": self._name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": nodeinfo.node_info(self._release, runtime),
            "images": [{"names": [*each.digests, *each.tags], "sizeBytes": each.size}
                       for each in images[:MOST_IMAGES]],
        }  # fmt: skip

    async def _runtime_state(self) -> tuple[str, tuple[str, str]]:
        """Why pods can't run (empty: they can), and the runtime's name and version."""
        try:
            found = await self._runtime.status()
            self._version = await self._runtime.version()
        except (DockyardError, OSError) as error:
            return f"container runtime is down: {error}", self._version
        return nodeinfo.unready(found), self._version

    async def _list_images(self) -> list[Image]:
        try:
            return await self._images.list_images()
        except (DockyardError, OSError):  # the Ready condition says what is wrong
            return []


def _condition(
    kind: str, value: bool, reason: str, message: str, before: Object | None, stamp: str
) -> dict[str, Any]:
    status = "True" if value else "False"
    same = before is not None and before["status"] == status
    since = before["lastTransitionTime"] if same and before is not None else stamp
    return {"type": kind, "status": status, "lastHeartbeatTime": stamp,
            "lastTransitionTime": since, "reason": reason, "message": message}  # fmt: skip


def _without_heartbeats(status: Object) -> dict[str, Any]:
    conditions = [
        {key: value for key, value in each.items() if key != "lastHeartbeatTime"}
        for each in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}
