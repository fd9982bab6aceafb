"""Turns pods that nobody will ever report on again into nothing: their node is gone for good.

The rules of kubernetes' pod garbage collector: a node has to be missing for a while, in the copy
and then in the API; pods that were deleted before they had a node go; of pods that have ended the
oldest go when there are too many.
"""

from __future__ import annotations

import logging

from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import copy_of
from dockyard.cluster.client.resources import NODES, PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import Context, is_alive
from dockyard.cluster.meta.errors import Conflict, NotFound

log = logging.getLogger("dockyard.podgarbage")
CHECK_SECONDS, QUARANTINE_SECONDS = 20.0, 40.0
MOST_ENDED = 12_500


class PodGarbage:
    """The controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._pods = context.informers.of(PODS)
        self._missing: dict[str, float] = {}
        """Node -> since when it is not there."""

    async def run(self) -> None:
        await self._context.informers.synced()
        while True:
            try:
                await self._look()
            except (DockyardError, OSError) as error:
                log.warning("%s", error)
            await self._context.clock.sleep(CHECK_SECONDS)

    async def _look(self) -> None:
        used = {pod["spec"].get("nodeName", "") for pod in self._pods} - {""}
        now = self._context.clock.monotonic()
        self._missing = {node: self._missing.get(node, now) for node in used
                         if self._nodes.get(node) is None}  # fmt: skip
        lost = {node for node, since in self._missing.items() if now - since >= QUARANTINE_SECONDS}
        gone = {node for node in lost if await self._is_gone(node)}
        for pod in self._pods:
            node = pod["spec"].get("nodeName", "")
            if node in gone:
                await self._remove(pod, "PodGC: node no longer exists")
            elif not node and "deletionTimestamp" in pod["metadata"]:
                await self._remove(pod, "")
        ended = sorted((pod for pod in self._pods if not is_alive(pod)), key=_created)
        for pod in ended[: max(0, len(ended) - MOST_ENDED)]:
            await self._remove(pod, "")

    async def _is_gone(self, node: str) -> bool:
        try:
            await self._context.client.get(NODES, node)
        except NotFound:
            return True
        return False

    async def _remove(self, pod: Object, why: str) -> None:
        metadata = pod["metadata"]
        try:
            if why and is_alive(pod):
                fresh = copy_of(pod)
                status = fresh.setdefault("status", {})
                status["phase"] = "Failed"
                status.setdefault("conditions", []).append({
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                    "message": why, "lastTransitionTime": self._context.stamp(),
                })  # fmt: skip
                await self._context.client.update_status(PODS, fresh)
            await self._context.client.delete(
                PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"], grace=0
            )
        except (Conflict, NotFound):
            return  # it has changed meanwhile: the next look sees it


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
