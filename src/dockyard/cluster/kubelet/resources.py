"""Turns requests and limits into what a control group is told. Pure.

The numbers are the kubelet's: 1024 shares a processor (at least 2), a quota in each 100 ms (at
least 1 ms), and an OOM score by the pod's quality of service.
"""

from __future__ import annotations

from dockyard.cluster.client.transport import Object
from dockyard.cluster.kinds.pod import qos
from dockyard.cluster.meta import quantity
from dockyard.interfaces.cri import LinuxResources

PERIOD, LEAST_QUOTA = 100_000, 1_000
LEAST_SHARES, MOST_SHARES = 2, 262_144
BEST_EFFORT_SCORE = 1000
GUARANTEED_SCORE = 0
"""Kubernetes has -997. To lower a score below its parent's needs CAP_SYS_RESOURCE; 0 is still below
every other pod's."""


def resources(pod: Object, spec: Object, node_memory: int) -> LinuxResources:
    """Of one container. ``node_memory``: bytes of the machine."""
    section = spec.get("resources") or {}
    requests, limits = section.get("requests") or {}, section.get("limits") or {}
    cpu_limit = quantity.milli(limits.get("cpu", "0"))
    asked = quantity.milli(requests.get("cpu", limits.get("cpu", "0")))
    memory_request = quantity.whole(requests.get("memory", limits.get("memory", "0")))
    return LinuxResources(
        cpu_shares=min(MOST_SHARES, max(LEAST_SHARES, asked * 1024 // 1000)),
        cpu_quota=max(LEAST_QUOTA, cpu_limit * PERIOD // 1000) if cpu_limit else 0,
        cpu_period=PERIOD if cpu_limit else 0,
        memory_limit=quantity.whole(limits.get("memory", "0")),
        oom_score_adj=oom_score(pod, memory_request, node_memory),
    )


def oom_score(pod: Object, memory_request: int, node_memory: int) -> int:
    """The less of what it uses was asked for, the sooner it is killed when memory runs out."""
    kind = qos.of(pod["spec"])
    if kind == "Guaranteed":
        return GUARANTEED_SCORE
    if kind == "BestEffort":
        return BEST_EFFORT_SCORE
    score = 1000 - 1000 * memory_request // max(1, node_memory)
    return min(BEST_EFFORT_SCORE - 1, max(3, score))
