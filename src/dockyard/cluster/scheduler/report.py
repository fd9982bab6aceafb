"""Turns decisions into what a person sees of them: events, and the pod's PodScheduled condition."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import EVENTS, PODS
from dockyard.cluster.client.transport import STRATEGIC_PATCH, Object, Request
from dockyard.cluster.meta.age import timestamp
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.scheduler.podinfo import PodInfo

log = logging.getLogger("dockyard.scheduler")
REMEMBERED = 4096
"""Events that are counted up when they happen again, instead of being written anew."""
MESSAGE_LIMIT = 1024


class Reporter:
    """Writes events and conditions. What it fails to write is logged, and stops nothing."""

    def __init__(self, client: Client, clock: Clock, component: str) -> None:
        self._client, self._clock, self._component = client, clock, component
        self._seen: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()

    async def scheduled(self, pod: PodInfo, node: str) -> None:
        """``Successfully assigned shop/web to node-1``."""
        message = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
        await self._guarded(pod, self._event(pod, "Normal", "Scheduled", message))

    async def failed(
        self, pod: PodInfo, known: Object | None, message: str, reason: str = "Unschedulable"
    ) -> None:
        """``0/1 nodes are available: ...``, in an event and in the pod's condition."""
        await self._guarded(pod, self._event(pod, "Warning", "FailedScheduling", message))
        if known is not None:
            await self._guarded(pod, self._condition(pod, known, reason, message))

    async def _guarded(self, pod: PodInfo, writing: Any) -> None:
        try:
            await writing
        except NotFound:
            log.debug("pod %s is gone", pod.key)
        except (DockyardError, OSError) as error:
            log.warning("pod %s: what became of it is not written: %s", pod.key, error)

    async def _condition(self, pod: PodInfo, known: Object, reason: str, message: str) -> None:
        before: Object = next(
            (
                each
                for each in known.get("status", {}).get("conditions") or ()
                if each.get("type") == "PodScheduled"
            ),
            {},
        )
        if (before.get("status"), before.get("reason"), before.get("message")) == (
            "False", reason, message,
        ):  # fmt: skip
            return
        now = timestamp(self._clock.time())
        same = before.get("status") == "False" and before.get("lastTransitionTime")
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastTransitionTime": before["lastTransitionTime"] if same else now,
        }
        patch = {
            "metadata": {"uid": pod.uid},
            "status": {"conditions": [condition]},
        }
        await self._client.transport.call(
            Request("patch", PODS, pod.namespace, pod.name, "status", patch, STRATEGIC_PATCH)
        )

    async def _event(self, pod: PodInfo, kind: str, reason: str, message: str) -> None:
        message = message[:MESSAGE_LIMIT]
        key = (pod.uid, reason, message)
        now = self._clock.time()
        name, count = self._seen.get(key, ("", 0))
        if name:
            patch = {"count": count + 1, "lastTimestamp": timestamp(now)}
            try:
                await self._client.patch(EVENTS, name, patch, pod.namespace)
            except NotFound:
                name, count = "", 0  # expired: it is news again
        if not name:
            name = f"{pod.name}.{int(now * 1e9):x}"
            await self._client.create(EVENTS, self._new(pod, name, kind, reason, message, now))
        self._seen[key] = (name, count + 1)
        self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _new(
        self, pod: PodInfo, name: str, kind: str, reason: str, message: str, now: float
    ) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": timestamp(now),
            "lastTimestamp": timestamp(now),
            "count": 1,
        }
