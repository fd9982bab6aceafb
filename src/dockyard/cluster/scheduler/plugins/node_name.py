"""Turns ``spec.nodeName`` into the one node that is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Refusal
from dockyard.cluster.scheduler.podinfo import PodInfo

REASON = "node(s) didn't match the requested node name"


class NodeName:
    """Refuses every node but the named one."""

    wakes = frozenset({Event.NODE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        if not pod.node:
            return ()
        others = np.ones_like(frame.alive)
        if (row := frame.rows.get(pod.node)) is not None:
            others[row] = False
        return (Refusal(others, REASON, evictions_help=False),)
