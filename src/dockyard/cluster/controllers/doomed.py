"""Turns pods that may go into the order in which they go. Pure.

The order of kubernetes' ``ActivePodsWithRanks`` (pkg/controller/controller_utils.go): who serves
least and for the shortest time goes first. Times are compared by their logarithm, and by uid where
that is the same, so that not always the same pods go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cmp_to_key

from dockyard.base.aio.now import parse_stamp
from dockyard.cluster.client.transport import Object
from dockyard.cluster.controllers.common import is_active, is_ready, ready_since

COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1}


def doomed(
    pods: Sequence[Object], count: int, now: float, kin: Iterable[Object] = ()
) -> list[Object]:
    """Whom to delete. ``kin`` are the pods of all sets of the same owner, these included."""
    crowd = Counter(each["spec"].get("nodeName") for each in kin if is_active(each))

    def compare(one: Object, other: Object) -> int:
        for first, second in zip(_rank(one, crowd), _rank(other, crowd), strict=True):
            if first != second:
                return -1 if first < second else 1
        ready = is_ready(one) and is_ready(other)
        if ready and (found := _by_age(ready_since(one), ready_since(other), one, other, now)):
            return found
        if (found := _restarts(other) - _restarts(one)) != 0:
            return found
        return _by_age(_created(one), _created(other), one, other, now)

    return sorted(pods, key=cmp_to_key(compare))[:count]


def _rank(pod: Object, crowd: Counter[str | None]) -> tuple[int, int, int, int, int]:
    """Not placed, not running, not ready, cheap to delete, in a crowd: first."""
    node = pod["spec"].get("nodeName")
    phase = _PHASES.get(pod.get("status", {}).get("phase", "Pending"), 2)
    return 1 if node else 0, phase, 1 if is_ready(pod) else 0, _cost(pod), -crowd[node]


def _cost(pod: Object) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(COST, "0")
    try:
        return int(text)
    except ValueError:  # what is no number costs nothing, as in Kubernetes
        return 0


def _restarts(pod: Object) -> int:
    found = pod.get("status", {}).get("containerStatuses") or ()
    return max((int(each.get("restartCount", 0)) for each in found), default=0)


def _created(pod: Object) -> float:
    stamp = pod["metadata"].get("creationTimestamp")
    return parse_stamp(stamp) if stamp else 0.0


def _by_age(one: float, other: float, first: Object, second: Object, now: float) -> int:
    """Negative: the first one is younger, and goes first."""
    if one == other:
        return 0
    if not one or not other:
        return -1 if not one else 1
    if (found := _magnitude(now - one) - _magnitude(now - other)) != 0:
        return found
    return -1 if first["metadata"]["uid"] < second["metadata"]["uid"] else 1


def _magnitude(seconds: float) -> int:
    """Of nanoseconds, as Go's durations are."""
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1
