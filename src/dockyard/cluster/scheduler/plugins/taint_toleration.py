"""Turns taints and tolerations into refusals, and soft taints into a lower score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dockyard.cluster.scheduler.frame import Frame, Mask, Taint
from dockyard.cluster.scheduler.framework import Event, Refusal, Scores, normalise
from dockyard.cluster.scheduler.podinfo import PodInfo


class TaintToleration:
    """Refuses nodes with a hard taint that the pod does not tolerate; prefers few soft ones."""

    weight = 3.0
    wakes = frozenset({Event.NODE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        refusals = []
        seen = np.zeros_like(frame.alive)
        for taint, nodes in frame.taints.items():
            key, value, effect = taint
            if effect == "PreferNoSchedule" or tolerates(pod.tolerations, taint):
                continue
            fresh = nodes & ~seen  # a node is refused for one taint only
            seen |= nodes
            reason = f"node(s) had untolerated taint {{{key}: {value}}}"
            refusals.append(Refusal(fresh, reason, evictions_help=False))
        return refusals

    def score(self, pod: PodInfo, frame: Frame, feasible: Mask) -> Scores:
        untolerated: Scores = np.zeros(len(feasible))
        for taint, nodes in frame.taints.items():
            if taint[2] == "PreferNoSchedule" and not tolerates(pod.tolerations, taint):
                untolerated += nodes
        return normalise(untolerated, feasible, reverse=True)


def tolerates(tolerations: Iterable[Mapping[str, Any]], taint: Taint) -> bool:
    """Whether one of the tolerations covers the taint."""
    key, value, effect = taint
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", effect):
            continue
        if toleration.get("key") not in (None, "", key):
            continue
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists":
            return True
        if toleration.get("key") and toleration.get("value", "") == value:
            return True
    return False
