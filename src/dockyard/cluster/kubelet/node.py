"""Turns this machine into a Node object, and its being alive into a lease."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockyard.base.aio import now
from dockyard.base.aio.clock import Clock
from dockyard.base.version import VERSION
from dockyard.cluster.client.client import Client, copy_of
from dockyard.cluster.client.resources import LEASES, NODES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta.errors import AlreadyExists, NotFound

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS, RENEW_SECONDS = 40, 10.0
STATUS_SECONDS = 60.0
MOST_PODS = 110
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class NodeStatus:
    """Registers the node and keeps its status and lease fresh."""

    def __init__(
        self, client: Client, clock: Clock, name: str, address: str, port: int, release: str,
        images: Callable[[], Any],
    ) -> None:  # fmt: skip
        self._client, self._clock, self._images = client, clock, images
        self._name, self._address, self._port, self._release = name, address, port, release

    async def register(self) -> Object:
        """Make the Node, or take over the one that is there, and say that it is ready."""
        system = MACHINES.get(platform.machine(), platform.machine())
        labels = {
            "kubernetes.io/hostname": self._name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": system, "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": system, "node-role.kubernetes.io/control-plane": "",
        }  # fmt: skip
        wanted = {"metadata": {"name": self._name, "labels": labels}, "spec": {}}
        try:
            node = await self._client.create(NODES, wanted)
        except AlreadyExists:
            node = await self._client.get(NODES, self._name)
        return await self._update(node)

    async def run(self) -> None:
        """Status every minute."""
        while True:
            await self._clock.sleep(STATUS_SECONDS)
            await self._update(await self._client.get(NODES, self._name))

    async def renew(self) -> None:
        """A lease every ten seconds."""
        while True:
            stamp = now.micro_stamp(self._clock.time())
            spec = {"holderIdentity": self._name, "leaseDurationSeconds": LEASE_SECONDS,
                    "renewTime": stamp}  # fmt: skip
            try:
                await self._client.patch(LEASES, self._name, {"spec": spec}, LEASE_NAMESPACE)
            except NotFound:
                metadata = {"name": self._name, "namespace": LEASE_NAMESPACE}
                await self._client.create(LEASES, {"metadata": metadata, "spec": spec})
            await self._clock.sleep(RENEW_SECONDS)

    async def _update(self, node: Object) -> Object:
        fresh = copy_of(node)
        fresh["metadata"].pop("resourceVersion", None)
        fresh["status"] = await self._status(node)
        return await self._client.update_status(NODES, fresh)

    async def _status(self, node: Object) -> dict[str, Any]:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        disk = os.statvfs("/")
        capacity = {
            "cpu": str(os.cpu_count() or 1),
            "memory": f"{memory // 1024}Ki",
            "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
            "pods": str(MOST_PODS),
        }
        stamp = now.stamp(self._clock.time())
        before = {c["type"]: c for c in node.get("status", {}).get("conditions") or ()}
        checks = [
            ("MemoryPressure", False, "KubeletHasSufficientMemory",
             "kubelet has sufficient memory available"),
            ("DiskPressure", disk.f_bavail * 20 < disk.f_blocks, "KubeletHasNoDiskPressure",
             "kubelet has no disk pressure"),
            ("PIDPressure", False, "KubeletHasSufficientPID",
             "kubelet has sufficient PID available"),
            ("Ready", True, "KubeletReady", "kubelet is posting ready status"),
        ]  # fmt: skip
        conditions = []
        for kind, value, reason, message in checks:
            status = "True" if value else "False"
            old = before.get(kind)
            same = old is not None and old["status"] == status
            since = old["lastTransitionTime"] if same and old else stamp
            conditions.append({"type": kind, "status": status, "reason": reason,
                               "message": message, "lastHeartbeatTime": stamp,
                               "lastTransitionTime": since})  # fmt: skip
        images = await self._images()
        return {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": self._address},
                          {"type": "Hostname", "address": self._name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": self._info(),
            "images": [{"names": [*each.digests, *each.tags], "sizeBytes": each.size}
                       for each in images[:50]],
        }  # fmt: skip

    def _info(self) -> dict[str, Any]:
        system = _os_release()
        return {
            "machineID": _line("/etc/machine-id"),
            "systemUUID": _line("/sys/class/dmi/id/product_uuid"),
            "bootID": _line("/proc/sys/kernel/random/boot_id"),
            "kernelVersion": platform.release(),
            "osImage": system.get("PRETTY_NAME", "Linux"),
            "containerRuntimeVersion": f"dockyard://{VERSION}",
            "kubeletVersion": f"v{self._release}.0+dockyard-{VERSION}",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": MACHINES.get(platform.machine(), platform.machine()),
        }


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:  # a machine without it
        return ""


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
