"""Turns requests and what nodes have left into refusals and scores that spread and balance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dockyard.cluster.scheduler.frame import Amounts, Frame, Mask
from dockyard.cluster.scheduler.framework import HIGHEST, Event, Refusal, Scores
from dockyard.cluster.scheduler.podinfo import PodInfo


class NodeResourcesFit:
    """Refuses nodes without room; prefers the least allocated."""

    weight = 1.0
    wakes = frozenset({Event.NODE, Event.POD_GONE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        refusals = []
        for resource, amount in pod.requests.items():
            if amount == 0:
                continue
            allocatable = frame.allocatable.get(resource)
            if allocatable is None:
                everywhere = np.ones_like(frame.alive)
                refusals.append(Refusal(everywhere, reason(resource), evictions_help=False))
                continue
            never = allocatable < amount
            full = ~never & (allocatable - frame.requested[resource] < amount)
            for nodes, evictions_help in ((never, False), (full, True)):
                refusals.append(Refusal(nodes, reason(resource), evictions_help))
        return refusals

    def score(self, pod: PodInfo, frame: Frame, feasible: Mask) -> Scores:
        cpu = _left(frame.allocatable["cpu"], frame.scored_cpu + pod.scored_cpu)
        memory = _left(frame.allocatable["memory"], frame.scored_memory + pod.scored_memory)
        return np.floor((cpu + memory) / 2)


class NodeResourcesBalancedAllocation:
    """Prefers nodes where CPU and memory are used in like shares."""

    weight = 1.0

    def score(self, pod: PodInfo, frame: Frame, feasible: Mask) -> Scores:
        shares = [
            np.minimum(1.0, _share(frame.allocatable[resource], used))
            for resource, used in (
                ("cpu", frame.requested["cpu"] + pod.requests.get("cpu", 0)),
                ("memory", frame.requested["memory"] + pod.requests.get("memory", 0)),
            )
        ]
        balanced: Scores = np.floor((1 - np.abs(shares[0] - shares[1]) / 2) * HIGHEST)
        return balanced


def reason(resource: str) -> str:
    """What kube-scheduler says of a node that lacks the resource."""
    return "Too many pods" if resource == "pods" else f"Insufficient {resource}"


def _share(allocatable: Amounts, used: Amounts) -> Scores:
    share: Scores = np.divide(
        used, allocatable, out=np.ones(len(used)), where=allocatable > 0, dtype=np.float64
    )
    return share


def _left(allocatable: Amounts, used: Amounts) -> Scores:
    """0 to 100: the share that would still be free."""
    return np.floor(np.clip(1 - _share(allocatable, used), 0, 1) * HIGHEST)
