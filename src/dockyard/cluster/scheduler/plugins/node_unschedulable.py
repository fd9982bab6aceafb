"""Turns ``spec.unschedulable`` (a cordoned node) into a refusal, unless the pod tolerates it."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Refusal
from dockyard.cluster.scheduler.plugins.taint_toleration import tolerates
from dockyard.cluster.scheduler.podinfo import PodInfo

TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable:
    """Refuses cordoned nodes."""

    wakes = frozenset({Event.NODE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        if not frame.unschedulable.any() or tolerates(pod.tolerations, TAINT):
            return ()
        return (Refusal(frame.unschedulable, "node(s) were unschedulable", evictions_help=False),)
