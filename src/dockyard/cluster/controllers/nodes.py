"""Turns a node that has fallen silent into one that is not ready, and evicts its pods."""

from __future__ import annotations

from typing import Any

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of, key_of
from dockyard.cluster.client.resources import LEASES, NODES, PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import Context, condition
from dockyard.cluster.meta.errors import Conflict, NotFound

CHECK_SECONDS = 5.0
GRACE_SECONDS = 40.0
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


class Nodes:
    """The controller. A lease counts by when it was seen to change, on this machine's clock."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._leases = context.informers.of(LEASES)
        self._pods = context.informers.of(PODS)
        self._seen: dict[str, tuple[str, float]] = {}

    async def run(self) -> None:
        await self._context.informers.synced()
        while True:
            for node in self._nodes:
                try:
                    await self._check(node)
                except (Conflict, NotFound):
                    continue  # it has changed meanwhile: the next round sees it
            await self._context.clock.sleep(CHECK_SECONDS)

    async def _check(self, node: Object) -> None:
        name = node["metadata"]["name"]
        lease = self._leases.get(f"{LEASE_NAMESPACE}/{name}")
        renewed = str((lease or {}).get("spec", {}).get("renewTime", ""))
        now = self._context.clock.monotonic()
        before, since = self._seen.get(name, ("-", now))
        if renewed != before:
            since = now
        self._seen[name] = (renewed, since)
        silent = now - since > GRACE_SECONDS
        ready = condition(node, "Ready")
        if silent and ready.get("status") != "Unknown":
            await self._lost(node)
            return
        wanted = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready.get("status", "False"))
        await self._taint(node, wanted)
        if wanted:
            await self._evict(name, wanted)

    async def _lost(self, node: Object) -> None:
        fresh, stamp = copy_of(node), self._context.stamp()
        for each in fresh["status"].get("conditions") or ():
            each.update(
                status="Unknown", reason="NodeStatusUnknown", lastTransitionTime=stamp,
                message="Kubelet stopped posting node status.",
            )  # fmt: skip
        await self._context.client.update_status(NODES, fresh)
        await self._context.recorder.event(
            node, "Normal", "NodeNotReady",
            f"Node {node['metadata']['name']} status is now: NodeNotReady",
        )  # fmt: skip

    async def _taint(self, node: Object, wanted: str | None) -> None:
        """The taint of the node's state, and none of another state."""
        taints = node["spec"].get("taints") or []
        kept = [taint for taint in taints if taint["key"] not in (NOT_READY, UNREACHABLE)]
        fresh: list[dict[str, Any]] = [dict(taint) for taint in kept]
        if wanted:
            for effect in ("NoSchedule", "NoExecute"):
                known = [t for t in taints if t["key"] == wanted and t["effect"] == effect]
                added = {"key": wanted, "effect": effect, "timeAdded": self._context.stamp()}
                fresh.append(dict(known[0]) if known else added)
        if fresh != list(taints):
            patch = {"spec": {"taints": fresh or None}}
            await self._context.client.patch(NODES, node["metadata"]["name"], patch)

    async def _evict(self, node_name: str, taint: str) -> None:
        """Delete pods whose toleration is over."""
        node = self._nodes.get(node_name)
        taints = (node or {}).get("spec", {}).get("taints") or ()
        mine = [t for t in taints if t["key"] == taint and t["effect"] == "NoExecute"]
        found = [t for t in mine if t.get("timeAdded")]
        if not found:
            return
        since = parse_stamp(found[0]["timeAdded"])
        for pod in self._pods:
            if pod["spec"].get("nodeName") != node_name or "deletionTimestamp" in pod["metadata"]:
                continue
            seconds = tolerated_seconds(pod, taint)
            if seconds is not None and since + seconds <= self._context.clock.time():
                namespace, _, name = key_of(pod).partition("/")
                await self._context.client.delete(PODS, name, namespace, uid=pod["metadata"]["uid"])


def tolerated_seconds(pod: Object, taint: str) -> float | None:
    """How long a pod stays on a node with a NoExecute taint; None is for ever."""
    seconds: list[float] = []
    tolerated = False
    for each in pod["spec"].get("tolerations") or ():
        if each.get("key") in (None, "", taint) and each.get("effect") in (None, "", "NoExecute"):
            tolerated = True
            if each.get("tolerationSeconds") is not None:
                seconds.append(float(each["tolerationSeconds"]))
    if not tolerated:
        return 0.0
    return max(0.0, min(seconds)) if seconds else None
