"""Turns a node that has fallen silent into one that is not ready, and evicts its pods."""

from __future__ import annotations

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.client import copy_of
from dockyard.cluster.client.resources import LEASES, NODES, PODS
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers import taints
from dockyard.cluster.controllers.common import Context, condition, is_alive, is_ready
from dockyard.cluster.meta.errors import Conflict, NotFound

CHECK_SECONDS = 5.0
GRACE_SECONDS = 50.0
"""kube-controller-manager's ``--node-monitor-grace-period``."""
LEASE_NAMESPACE = "kube-node-lease"
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


class Nodes:
    """The controller. A lease counts by when it was seen to change, on this machine's clock."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._nodes = context.informers.of(NODES)
        self._leases = context.informers.of(LEASES)
        self._pods = context.informers.of(PODS)
        self._pods.add_index("node", lambda pod: [pod["spec"].get("nodeName", "")])
        self._seen: dict[str, tuple[str, float]] = {}
        self._intolerant: dict[str, tuple[str, float]] = {}
        """Pod uid -> the taints of its node, and since when it has been seen under them."""

    async def run(self) -> None:
        await self._context.informers.synced()
        while True:
            for node in self._nodes:
                try:
                    await self._check(node)
                except (Conflict, NotFound):
                    continue  # it has changed meanwhile: the next round sees it
            self._forget()
            await self._context.clock.sleep(CHECK_SECONDS)

    def _forget(self) -> None:
        pods = {pod["metadata"]["uid"] for pod in self._pods}
        self._intolerant = {uid: each for uid, each in self._intolerant.items() if uid in pods}
        self._seen = {name: each for name, each in self._seen.items() if self._nodes.get(name)}

    async def _check(self, node: Object) -> None:
        name = node["metadata"]["name"]
        lease = self._leases.get(f"{LEASE_NAMESPACE}/{name}")
        renewed = str((lease or {}).get("spec", {}).get("renewTime", ""))
        now = self._context.clock.monotonic()
        before, since = self._seen.get(name, ("-", now))
        if renewed != before:
            since = now
        self._seen[name] = (renewed, since)
        if now - since > GRACE_SECONDS and condition(node, "Ready").get("status") != "Unknown":
            await self._lost(node)
            return
        state = taints.state_taint(node)
        known = {each["key"] for each in node["spec"].get("taints") or ()}
        if state == taints.UNREACHABLE or (state and state not in known):
            await self._take_out(name)  # a kubelet that still speaks has the last word afterwards
        await self._taint(node)
        await self._evict(node)

    async def _lost(self, node: Object) -> None:
        fresh, stamp = copy_of(node), self._context.stamp()
        status = fresh.setdefault("status", {})
        found = {each["type"]: each for each in status.get("conditions") or ()}
        for kind in WATCHED:
            each = found.setdefault(kind, {"type": kind})
            if each.get("status") == "Unknown":
                continue
            said = "stopped posting" if "status" in each else "never posted"
            reason = "NodeStatusUnknown" if "status" in each else "NodeStatusNeverUpdated"
            each |= {"status": "Unknown", "reason": reason, "lastTransitionTime": stamp,
                     "message": f"Kubelet {said} node status."}  # fmt: skip
        status["conditions"] = list(found.values())
        await self._context.client.update_status(NODES, fresh)
        await self._context.recorder.event(
            node, "Normal", "NodeNotReady",
            f"Node {node['metadata']['name']} status is now: NodeNotReady",
        )  # fmt: skip

    async def _take_out(self, node_name: str) -> None:
        """Pods of a node that is not ready do not serve: nobody would say so otherwise."""
        for pod in self._pods.by("node", node_name):
            if not is_ready(pod):
                continue
            fresh, stamp = copy_of(pod), self._context.stamp()
            for each in fresh["status"]["conditions"]:
                if each["type"] == "Ready":
                    each |= {"status": "False", "lastTransitionTime": stamp}
            try:
                await self._context.client.update_status(PODS, fresh)
            except (Conflict, NotFound):
                continue
            await self._context.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _taint(self, node: Object) -> None:
        metadata, have = node["metadata"], list(node["spec"].get("taints") or ())
        wanted = taints.wanted(node, self._context.stamp())
        if wanted != have:
            patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]},
                     "spec": {"taints": wanted or None}}  # fmt: skip
            await self._context.client.patch(NODES, metadata["name"], patch)

    async def _evict(self, node: Object) -> None:
        """Delete pods that do not tolerate the node's NoExecute taints, or no longer."""
        metadata = node["metadata"]
        mine = [t for t in node["spec"].get("taints") or () if t["effect"] == taints.NO_EXECUTE]
        now = self._context.clock.time()
        for pod in self._pods.by("node", metadata["name"]):
            uid = pod["metadata"]["uid"]
            if not mine:
                self._intolerant.pop(uid, None)
                continue
            if "deletionTimestamp" in pod["metadata"] or not is_alive(pod):
                continue
            seconds = taints.tolerated_seconds(pod, mine)
            if seconds is not None and self._since(uid, mine, now) + seconds <= now:
                await self._delete(pod)

    def _since(self, uid: str, mine: list[taints.Taint], now: float) -> float:
        """Since when a pod has been under the taints; a taint's own time tells more than we do."""
        names = " ".join(sorted(f"{t['key']}={t.get('value', '')}" for t in mine))
        known = self._intolerant.get(uid)
        if known is None or known[0] != names:
            added = [parse_stamp(t["timeAdded"]) for t in mine if t.get("timeAdded")]
            known = self._intolerant[uid] = (names, min([now, *added]))
        return known[1]

    async def _delete(self, pod: Object) -> None:
        metadata = pod["metadata"]
        fresh, stamp = copy_of(pod), self._context.stamp()
        conditions = fresh.setdefault("status", {}).setdefault("conditions", [])
        if not condition(pod, "DisruptionTarget"):
            conditions.append({
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint",
                "lastTransitionTime": stamp,
            })  # fmt: skip
            await self._context.client.update_status(PODS, fresh)
        await self._context.recorder.event(
            pod, "Normal", "TaintManagerEviction",
            f"Marking for deletion Pod {metadata['namespace']}/{metadata['name']}",
        )  # fmt: skip
        await self._context.client.delete(
            PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"]
        )
