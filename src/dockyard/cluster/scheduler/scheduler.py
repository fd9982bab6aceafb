"""Turns pods without a node into bindings: informers feed frame and queue, one loop decides.

Deciding is synchronous and sees one state of the frame; a placed pod counts on its node at once
(it is *assumed*), and its binding is written by a task of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import CLAIMS, NODES, PODS, STORAGE_CLASSES, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.meta.errors import NotFound
from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Unschedulable
from dockyard.cluster.scheduler.plugins.volume_binding import VolumeBinding
from dockyard.cluster.scheduler.podinfo import PodInfo, pod_info
from dockyard.cluster.scheduler.profile import NAME, default_framework
from dockyard.cluster.scheduler.queue import SchedulingQueue
from dockyard.cluster.scheduler.report import Reporter
from dockyard.cluster.scheduler.volumes import ClusterVolumes

log = logging.getLogger("dockyard.scheduler")
SLICE = 0.004
"""Seconds of deciding after which the event loop gets its turn."""
_TERMINAL = frozenset({"Succeeded", "Failed"})


class Scheduler:
    """The default scheduler. ``informers`` are started by whoever made them."""

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, chance: random.Random
    ) -> None:
        self._client, self._clock, self._chance = client, clock, chance
        self._informers = [
            informers.of(resource) for resource in (NODES, PODS, CLAIMS, VOLUMES, STORAGE_CLASSES)
        ]
        self._nodes, self._pods = self._informers[:2]
        self._volumes = ClusterVolumes(client, informers, clock)
        self._volume_binding = VolumeBinding(self._volumes)
        self._framework = default_framework(self._volume_binding)
        self._frame = Frame()
        self._queue = SchedulingQueue()
        self._report = Reporter(client, clock, NAME)
        self._bindings: dict[str, asyncio.Task[None]] = {}
        self._assumed: dict[str, str] = {}
        """Pods that were placed and whose binding the pods' informer has not shown yet."""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Schedule until cancelled."""
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        for informer in self._informers[2:]:
            informer.add_handler(self._volume_changed)
        for informer in self._informers:
            await informer.synced()
        async with Tasks() as tasks:
            started = self._clock.monotonic()
            while True:
                pod = self._queue.pop(self._clock.monotonic())
                if pod is None:
                    await self._sleep()
                    started = self._clock.monotonic()
                    continue
                self._schedule(pod, tasks)
                if self._clock.monotonic() - started > SLICE:
                    await self._clock.sleep(0)
                    started = self._clock.monotonic()

    async def _sleep(self) -> None:
        """Until a change, or until a pod's back-off is over."""
        self._wake.clear()
        due = self._queue.next_due(self._clock.monotonic())
        if due is None:
            await self._wake.wait()
            return
        handle = self._clock.call_later(due, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    # one pod

    def _schedule(self, pod: PodInfo, tasks: Tasks) -> None:
        decision = self._framework.decide(pod, self._frame, self._chance)
        if isinstance(decision, Unschedulable):
            self._queue.failed(pod.uid, self._clock.monotonic(), decision.wakes)
            tasks.start(
                self._report.failed(pod, self._pods.get(pod.key), decision.message),
                name=f"report {pod.key}",
            )
            return
        self._frame.place(pod, decision.node)
        self._assumed[pod.uid] = decision.node
        task = tasks.start(self._bind(pod, decision.node), name=f"bind {pod.key}")
        self._bindings[pod.uid] = task
        task.add_done_callback(lambda _: self._bindings.pop(pod.uid, None))

    async def _bind(self, pod: PodInfo, node: str) -> None:
        try:
            claims = self._volume_binding.unbound(pod)
            if claims:
                await self._volumes.bind(claims, node)
            await self._client.create(PODS, binding(pod, node), pod.namespace, "binding")
        except NotFound:
            log.info("pod %s: gone before it was bound", pod.key)
            self._forget(pod.uid)
            self._queue.remove(pod.uid)
        except (DockyardError, OSError) as error:
            self._forget(pod.uid)
            self._queue.failed(pod.uid, self._clock.monotonic(), None)
            self._wake.set()
            message = f"binding rejected: {error}"
            await self._report.failed(pod, self._pods.get(pod.key), message, "SchedulerError")
        else:
            self._queue.remove(pod.uid)
            await self._report.scheduled(pod, node)

    def _forget(self, uid: str) -> None:
        """An assumed pod does not count on its node any more."""
        if self._assumed.pop(uid, None) is not None:
            self._frame.remove_pod(uid)
            self._happened(Event.POD_GONE)

    # what informers say

    def _happened(self, event: Event) -> None:
        self._queue.happened(event, self._clock.monotonic())
        self._wake.set()

    def _node_changed(self, before: Object | None, after: Object | None) -> None:
        if after is None:
            if before is not None:
                self._frame.remove_node(before["metadata"]["name"])
            self._wake.set()
            return
        self._frame.set_node(after)
        if before is None or _matters(before) != _matters(after):
            self._happened(Event.NODE)

    def _volume_changed(self, before: Object | None, after: Object | None) -> None:
        self._happened(Event.VOLUME)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        last = after or before
        if last is None:
            return
        uid = last["metadata"]["uid"]
        if before is not None and before["metadata"]["uid"] != uid:
            self._pod_gone(before["metadata"]["uid"])  # deleted and created anew in one step
        if after is None or after.get("status", {}).get("phase") in _TERMINAL:
            self._pod_gone(uid)
        elif after.get("spec", {}).get("nodeName"):
            self._assumed.pop(uid, None)
            self._queue.remove(uid)
            self._frame.place(pod_info(after), after["spec"]["nodeName"])
        elif _wants_a_node(after):
            if uid not in self._assumed:
                self._queue.add(pod_info(after))
                self._wake.set()
        else:
            self._pod_gone(uid)

    def _pod_gone(self, uid: str) -> None:
        self._queue.remove(uid)
        self._assumed.pop(uid, None)
        if (task := self._bindings.get(uid)) is not None:
            task.cancel()
        if self._frame.node_of(uid) is not None:
            self._frame.remove_pod(uid)
            self._happened(Event.POD_GONE)


def binding(pod: PodInfo, node: str) -> dict[str, Any]:
    """The body of ``pods/binding``; the uid keeps it from a namesake born meanwhile."""
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


def _wants_a_node(pod: Object) -> bool:
    spec = pod.get("spec", {})
    return (
        spec.get("schedulerName", NAME) == NAME
        and not spec.get("schedulingGates")
        and not pod["metadata"].get("deletionTimestamp")
    )


def _matters(node: Object) -> tuple[Any, ...]:
    """What a plugin may ask of a node; heartbeats change none of it."""
    spec = node.get("spec", {})
    return (
        node["metadata"].get("labels"),
        spec.get("taints"),
        bool(spec.get("unschedulable")),
        node.get("status", {}).get("allocatable"),
    )
