"""Turns a pod and the frame into a node, or into the reasons why there is none.

Filters run in the order of one visible list; as in kube-scheduler, a node counts for the first
filter that refuses it. Scores are 0 to 100 a plugin, weighted and summed; among the best, chance
decides.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dockyard.cluster.scheduler.frame import Frame, Mask
from dockyard.cluster.scheduler.podinfo import PodInfo

Scores = NDArray[np.float64]

HIGHEST = 100.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nodes that a filter refuses, and why. One node may stand in several refusals of a filter."""

    nodes: Mask
    reason: str
    evictions_help: bool
    """Whether the node would do if pods were taken off it."""


class Event(Enum):
    """What happened in the cluster; a pod that found no node may find one now."""

    NODE = "node"
    POD_GONE = "pod gone"
    VOLUME = "volume"


class Gate(Protocol):
    """Says why a pod can run on no node at all, for now; empty if it may go on."""

    wakes: frozenset[Event]

    def stop(self, pod: PodInfo) -> str: ...


class Filter(Protocol):
    """Says which nodes a pod cannot run on; ``wakes`` is what may change its mind."""

    wakes: frozenset[Event]

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]: ...


class Score(Protocol):
    """Says how well each node suits a pod: 0 to 100 a node; only ``feasible`` ones count."""

    weight: float

    def score(self, pod: PodInfo, frame: Frame, feasible: Mask) -> Scores: ...


@dataclass(frozen=True, slots=True)
class Placement:
    """The node for a pod, and how many nodes could have taken it."""

    node: str
    feasible: int
    score: float


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod; ``message`` has kube-scheduler's wording."""

    message: str
    wakes: frozenset[Event]
    """What must happen before another try makes sense."""


class Framework:
    """The plugins, in their order."""

    def __init__(
        self, gates: Sequence[Gate], filters: Sequence[Filter], scores: Sequence[Score]
    ) -> None:
        self._gates = gates
        self._filters = filters
        self._scores = scores

    def decide(
        self, pod: PodInfo, frame: Frame, chance: random.Random
    ) -> Placement | Unschedulable:
        """Where the pod goes. Changes nothing."""
        if not len(frame):
            return Unschedulable("no nodes available to schedule pods", frozenset({Event.NODE}))
        for gate in self._gates:
            if why := gate.stop(pod):
                return Unschedulable(stopped(len(frame), why, pod), gate.wakes)
        feasible = frame.alive.copy()
        reasons: Counter[str] = Counter()
        wakes: frozenset[Event] = frozenset({Event.NODE})
        helpless = 0
        for plugin in self._filters:
            refused = np.zeros_like(feasible)
            stuck = np.zeros_like(feasible)
            for refusal in plugin.refuse(pod, frame):
                nodes = refusal.nodes & feasible
                if count := int(nodes.sum()):
                    reasons[refusal.reason] += count
                    wakes |= plugin.wakes
                    refused |= nodes
                    if not refusal.evictions_help:
                        stuck |= nodes
            helpless += int(stuck.sum())
            feasible &= ~refused
            if not feasible.any():
                return Unschedulable(explain(len(frame), reasons, helpless, pod), wakes)
        total: Scores = np.zeros(len(feasible))
        for score in self._scores:
            total += score.weight * score.score(pod, frame, feasible)
        total[~feasible] = -1.0
        best = np.flatnonzero(total == total.max())
        row = int(best[chance.randrange(len(best))]) if len(best) > 1 else int(best[0])
        return Placement(frame.names[row], int(feasible.sum()), float(total[row]))


def stopped(nodes: int, why: str, pod: PodInfo) -> str:
    """What a gate says, in the sentence of a pod that found no node."""
    return f"0/{nodes} nodes are available: {why}. {_preemption(nodes, nodes, pod)}"


def explain(nodes: int, reasons: Counter[str], helpless: int, pod: PodInfo) -> str:
    """``0/3 nodes are available: 2 Insufficient cpu, ...``: as kube-scheduler words it."""
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{nodes} nodes are available: {listed}. {_preemption(nodes, helpless, pod)}"


def _preemption(nodes: int, helpless: int, pod: PodInfo) -> str:
    if not pod.evicts:
        return "preemption: not eligible due to preemptionPolicy=Never."
    outcomes = []
    if victims := nodes - helpless:
        outcomes.append(f"{victims} No preemption victims found for incoming pod")
    if helpless:
        outcomes.append(f"{helpless} Preemption is not helpful for scheduling")
    return f"preemption: 0/{nodes} nodes are available: {', '.join(sorted(outcomes))}."


def normalise(scores: Scores, feasible: Mask, reverse: bool = False) -> Scores:
    """Scale so that the best feasible node has 100 (``reverse``: the lowest score is the best)."""
    highest = float(scores[feasible].max(initial=0.0))
    if highest == 0.0:
        return np.full_like(scores, HIGHEST if reverse else 0.0)
    scaled = np.floor(scores * HIGHEST / highest)
    return HIGHEST - scaled if reverse else scaled
