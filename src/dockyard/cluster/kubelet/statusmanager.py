"""Turns the latest status of each pod into a patch, if it differs, and the last one into a delete.

The workers never wait for the API: the newest status of a pod waits here until it is written.
"""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.clock import Clock
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work
from dockyard.cluster.kubelet.status import ENDED, OWN
from dockyard.cluster.meta.errors import Conflict, Invalid, NotFound


class StatusManager:
    """Writes statuses. Keys are uids: a pod of the same name is another one."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._queue = WorkQueue(clock)
        self._wanted: dict[str, tuple[Object, dict[str, Any]]] = {}
        self._written: dict[str, dict[str, Any]] = {}
        self._over: set[str] = set()
        self._revisions: dict[str, int] = {}
        """The pod's resourceVersion after our last write."""

    def set(self, pod: Object, status: dict[str, Any]) -> None:
        """The pod's status is this now."""
        uid = pod["metadata"]["uid"]
        if status == self.latest(pod):
            return
        self._wanted[uid] = (pod, status)
        self._queue.add(uid)

    def latest(self, pod: Object) -> Object:
        """The status that was set last, or the API's."""
        uid = pod["metadata"]["uid"]
        if uid in self._wanted:
            return self._wanted[uid][1]
        status: Object = self._written.get(uid) or pod.get("status", {})
        return status

    def seen(self, pod: Object) -> None:
        """The API has this pod now: what somebody else has made of our part is put right.

        So a pod that was taken out of its Services while its node was silent serves again.
        """
        uid, metadata = pod["metadata"]["uid"], pod["metadata"]
        known = self._written.get(uid)
        if known is None or uid in self._wanted:
            return
        if int(metadata["resourceVersion"]) <= self._revisions.get(uid, 0):
            return  # older than what we have written
        stored: Object = pod.get("status", {})
        status = {name: value for name, value in stored.items() if name in known}
        if status.get("phase") in ENDED or not difference(ours(status), ours(known)):
            return
        self._written[uid] = status
        others = [each for each in status.get("conditions") or () if each["type"] not in OWN]
        own = [each for each in known.get("conditions") or () if each["type"] in OWN]
        self._wanted[uid] = (pod, {**known, "conditions": [*others, *own]})
        self._queue.add(uid)

    def over(self, pod: Object) -> None:
        """Nothing of the pod is left: write its last status, then delete it."""
        uid = pod["metadata"]["uid"]
        self._over.add(uid)
        self._wanted.setdefault(uid, (pod, dict(self.latest(pod))))
        self._queue.add(uid)

    def forget(self, uid: str) -> None:
        """The API has it no more."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)
        self._over.discard(uid)
        self._revisions.pop(uid, None)

    async def run(self) -> None:
        """Write until cancelled."""
        await work("pod status", self._queue, self._write)

    async def _write(self, uid: str) -> None:
        found = self._wanted.get(uid)
        if found is None:
            return
        pod, status = found
        metadata = pod["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        known: Object = self._written.get(uid) or pod.get("status") or {}
        try:
            if patch := difference(known, status):
                body = {"metadata": {"uid": uid}, "status": patch}
                if "conditions" in patch and _is_shared(pod, status):
                    await self._keep_others(body, name, namespace)
                after = await self._client.patch(PODS, name, body, namespace, "status")
                self._revisions[uid] = int(after["metadata"]["resourceVersion"])
            self._written[uid] = status
            if uid in self._over:
                await self._client.delete(PODS, name, namespace, uid=uid, grace=0)
        except NotFound:
            self.forget(uid)
            return
        except (Conflict, Invalid):
            if await self._is_another(uid, name, namespace):
                self.forget(uid)
                return
            raise
        if self._wanted.get(uid) == found:
            del self._wanted[uid]

    async def _keep_others(self, body: dict[str, Any], name: str, namespace: str) -> None:
        """Put in the conditions of others as they are now; Conflict when they change meanwhile."""
        live = await self._client.get(PODS, name, namespace)
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        now = (live.get("status") or {}).get("conditions") or ()
        others = [each for each in now if each["type"] not in OWN]
        own = [each for each in body["status"]["conditions"] if each["type"] in OWN]
        body["status"]["conditions"] = [*others, *own]

    async def _is_another(self, uid: str, name: str, namespace: str) -> bool:
        """Whether the name belongs to another pod by now."""
        try:
            latest = await self._client.get(PODS, name, namespace)
        except NotFound:
            return True
        return bool(latest["metadata"]["uid"] != uid)


def _is_shared(pod: Object, status: Object) -> bool:
    """Whether somebody else has conditions in a pod's status, or is waited for."""
    others = [each for each in status.get("conditions") or () if each["type"] not in OWN]
    return bool(others or pod["spec"].get("readinessGates"))


def ours(status: Object) -> dict[str, Any]:
    """A status without what others say in it."""
    conditions = [each for each in status.get("conditions") or () if each["type"] in OWN]
    return {**status, "conditions": [
        {name: value for name, value in each.items() if value is not None} for each in conditions
    ]}  # fmt: skip


def difference(before: Object, after: dict[str, Any]) -> dict[str, Any]:
    """A merge patch (RFC 7396) that makes one status of another."""
    found = {key: value for key, value in after.items() if before.get(key) != value}
    return found | {key: None for key in before if key not in after}
