"""The plugins of the default scheduler, in their order: a new one is a file and a line here."""

from __future__ import annotations

from dockyard.cluster.scheduler.framework import Framework
from dockyard.cluster.scheduler.plugins.node_affinity import NodeAffinity
from dockyard.cluster.scheduler.plugins.node_name import NodeName
from dockyard.cluster.scheduler.plugins.node_ports import NodePorts
from dockyard.cluster.scheduler.plugins.node_resources import (
    NodeResourcesBalancedAllocation,
    NodeResourcesFit,
)
from dockyard.cluster.scheduler.plugins.node_unschedulable import NodeUnschedulable
from dockyard.cluster.scheduler.plugins.taint_toleration import TaintToleration
from dockyard.cluster.scheduler.plugins.volume_binding import VolumeBinding

NAME = "default-scheduler"
"""Pods with this ``spec.schedulerName`` are its own."""


def default_framework(volume_binding: VolumeBinding) -> Framework:
    """Gates, filters and scores of the default profile."""
    taints, affinity, fit = TaintToleration(), NodeAffinity(), NodeResourcesFit()
    return Framework(
        gates=[volume_binding],
        filters=[
            NodeUnschedulable(),
            NodeName(),
            taints,
            affinity,
            NodePorts(),
            fit,
            volume_binding,
        ],
        scores=[taints, affinity, fit, NodeResourcesBalancedAllocation()],
    )
