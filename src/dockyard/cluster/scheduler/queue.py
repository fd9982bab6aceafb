"""Turns pods without a node into the next one to try: by priority, failures later and later.

Three places, as in kube-scheduler: *active* (try now, highest priority first, then the oldest),
*backing off* (failed lately), *unschedulable* (no node would take it; waits for an event that may
change that, or for five minutes). Pure: the time is an argument.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

from dockyard.cluster.scheduler.framework import Event
from dockyard.cluster.scheduler.podinfo import PodInfo

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 10.0
"""Seconds that a pod waits after its first failure, and at most; each failure doubles them."""
LONGEST_UNSCHEDULABLE = 300.0
"""After this many seconds a pod is tried again without any event."""

ACTIVE, TRYING, BACKING_OFF, UNSCHEDULABLE = "active", "trying", "backing off", "unschedulable"
Entry = tuple[float, int, str]
"""What a heap sorts by, the pod's place in the order of arrival, its uid."""


@dataclass(slots=True)
class Waiting:
    """A pod that waits for a node."""

    pod: PodInfo
    order: int
    attempts: int = 0
    failed_at: float = 0.0
    wakes: frozenset[Event] = frozenset()

    @property
    def backoff(self) -> float:
        """Seconds to wait after the attempts so far."""
        if not self.attempts:
            return 0.0
        exponent = min(self.attempts - 1, 10)
        return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**exponent)


class SchedulingQueue:
    """The pods that wait, by uid."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._active: list[Entry] = []
        self._backing_off: list[Entry] = []
        self._unschedulable: dict[str, None] = {}
        """In the order of their failures: the first one has waited longest."""
        self._place: dict[str, str] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, pod: PodInfo) -> None:
        """A pod wants a node; one that is known has changed, which is worth another try."""
        known = self._waiting.get(pod.uid)
        if known is None:
            known = self._waiting[pod.uid] = Waiting(pod, next(self._order))
        elif known.pod == pod:
            return
        known.pod = pod
        if self._place.get(pod.uid) != TRYING:
            self._activate(known)

    def remove(self, uid: str) -> None:
        """A pod wants no node any more."""
        self._waiting.pop(uid, None)
        self._place.pop(uid, None)
        self._unschedulable.pop(uid, None)

    def pop(self, now: float) -> PodInfo | None:
        """The pod to try next; :meth:`failed` or :meth:`remove` must follow."""
        self._wake_due(now)
        self._prune(self._active, ACTIVE)
        if not self._active:
            return None
        uid = heapq.heappop(self._active)[2]
        self._place[uid] = TRYING
        return self._waiting[uid].pod

    def failed(self, uid: str, now: float, wakes: frozenset[Event] | None) -> None:
        """The try failed. With ``wakes`` the pod waits for such an event, else only a while."""
        found = self._waiting.get(uid)
        if found is None:
            return
        found.attempts += 1
        found.failed_at = now
        found.wakes = wakes or frozenset()
        if wakes is None:
            self._back_off(found, now)
        else:
            self._place[uid] = UNSCHEDULABLE
            self._unschedulable[uid] = None

    def happened(self, event: Event, now: float) -> None:
        """Something changed: whoever may profit is tried again, after its back-off."""
        for uid in list(self._unschedulable):
            found = self._waiting[uid]
            if event in found.wakes:
                self._back_off(found, now)

    def next_due(self, now: float) -> float | None:
        """Seconds until :meth:`pop` may have something; None: not before something happens."""
        self._prune(self._active, ACTIVE)
        if self._active:
            return 0.0
        self._prune(self._backing_off, BACKING_OFF)
        due = [self._backing_off[0][0]] if self._backing_off else []
        if self._unschedulable:
            oldest = self._waiting[next(iter(self._unschedulable))]
            due.append(oldest.failed_at + LONGEST_UNSCHEDULABLE)
        return max(0.0, min(due) - now) if due else None

    def _prune(self, heap: list[Entry], place: str) -> None:
        """Drop what has left this place since it was put in (heaps keep no track of that)."""
        while heap:
            _, order, uid = heap[0]
            found = self._waiting.get(uid)
            if found is not None and found.order == order and self._place.get(uid) == place:
                return
            heapq.heappop(heap)

    def _activate(self, found: Waiting) -> None:
        uid = found.pod.uid
        self._unschedulable.pop(uid, None)
        self._place[uid] = ACTIVE
        heapq.heappush(self._active, (-found.pod.priority, found.order, uid))

    def _back_off(self, found: Waiting, now: float) -> None:
        uid, due = found.pod.uid, found.failed_at + found.backoff
        if due <= now:
            self._activate(found)
            return
        self._unschedulable.pop(uid, None)
        self._place[uid] = BACKING_OFF
        heapq.heappush(self._backing_off, (due, found.order, uid))

    def _wake_due(self, now: float) -> None:
        self._prune(self._backing_off, BACKING_OFF)
        while self._backing_off and self._backing_off[0][0] <= now:
            uid = heapq.heappop(self._backing_off)[2]
            self._activate(self._waiting[uid])
            self._prune(self._backing_off, BACKING_OFF)
        while self._unschedulable:
            found = self._waiting[next(iter(self._unschedulable))]
            if found.failed_at + LONGEST_UNSCHEDULABLE > now:
                break
            self._activate(found)
