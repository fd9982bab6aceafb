"""Turns host ports into refusals of nodes where another pod has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dockyard.cluster.scheduler.frame import Frame
from dockyard.cluster.scheduler.framework import Event, Refusal
from dockyard.cluster.scheduler.podinfo import HostPort, PodInfo

REASON = "node(s) didn't have free ports for the requested pod ports"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - the wildcard of the API, nothing is bound here


class NodePorts:
    """Refuses nodes on which one of the pod's host ports is taken."""

    wakes = frozenset({Event.NODE, Event.POD_GONE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        if not pod.host_ports:
            return ()
        taken = np.zeros_like(frame.alive)
        for wanted in pod.host_ports:
            for port, counts in frame.ports.items():
                if clash(wanted, port):
                    taken |= counts > 0
        return (Refusal(taken, REASON, evictions_help=True),)


def clash(one: HostPort, other: HostPort) -> bool:
    """The same protocol and port, on the same address or on every one."""
    return one[1:] == other[1:] and (one[0] == other[0] or EVERY_ADDRESS in (one[0], other[0]))
