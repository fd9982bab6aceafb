"""The scheduling queue: priority, age, back-off, and what wakes a pod."""

from dataclasses import replace
from typing import Any

import pytest

from dockyard.cluster.scheduler.framework import Event
from dockyard.cluster.scheduler.podinfo import PodInfo, pod_info
from dockyard.cluster.scheduler.queue import LONGEST_UNSCHEDULABLE, SchedulingQueue
from helpers.apiobjects import pod as api_pod


def pod(name: str, priority: int = 0, **spec: Any) -> PodInfo:
    found = api_pod(name, priority=priority, **spec)
    found["metadata"]["uid"] = name
    return pod_info(found)


def names(queue: SchedulingQueue, now: float = 0.0) -> list[str]:
    found = []
    while (one := queue.pop(now)) is not None:
        found.append(one.name)
    return found


def test_priority_then_age() -> None:
    queue = SchedulingQueue()
    for one in (pod("a"), pod("b", 5), pod("c"), pod("d", 5)):
        queue.add(one)
    assert queue.next_due(0.0) == 0.0
    assert names(queue) == ["b", "d", "a", "c"]
    assert queue.next_due(0.0) is None


@pytest.mark.parametrize(("failures", "wait"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (40, 10)])
def test_back_off_doubles_up_to_ten_seconds(failures: int, wait: float) -> None:
    queue = SchedulingQueue()
    queue.add(pod("a"))
    now = 0.0
    for _ in range(failures):
        now += 100.0
        assert names(queue, now) == ["a"]
        queue.failed("a", now, None)
    assert queue.next_due(now) == wait
    assert names(queue, now + wait - 0.01) == []
    assert names(queue, now + wait) == ["a"]


def test_an_unschedulable_pod_waits_for_its_event() -> None:
    queue = SchedulingQueue()
    queue.add(pod("a"))
    queue.pop(0.0)
    queue.failed("a", 0.0, frozenset({Event.NODE}))
    queue.happened(Event.VOLUME, 20.0)
    assert names(queue, 20.0) == []
    queue.happened(Event.NODE, 20.0)
    assert names(queue, 20.0) == ["a"]


def test_an_event_does_not_shorten_the_back_off() -> None:
    queue = SchedulingQueue()
    queue.add(pod("a"))
    queue.pop(0.0)
    queue.failed("a", 0.0, frozenset({Event.NODE}))
    queue.happened(Event.NODE, 0.5)
    assert queue.next_due(0.5) == 0.5
    assert names(queue, 0.5) == []
    assert names(queue, 1.0) == ["a"]


def test_nobody_waits_for_ever() -> None:
    queue = SchedulingQueue()
    queue.add(pod("a"))
    queue.pop(0.0)
    queue.failed("a", 0.0, frozenset({Event.NODE}))
    assert queue.next_due(0.0) == LONGEST_UNSCHEDULABLE
    assert names(queue, LONGEST_UNSCHEDULABLE) == ["a"]


def test_a_changed_pod_is_tried_at_once_an_unchanged_one_not() -> None:
    queue = SchedulingQueue()
    one = pod("a")
    queue.add(one)
    queue.pop(0.0)
    queue.failed("a", 0.0, frozenset())
    queue.add(one)
    assert names(queue) == []
    queue.add(replace(one, priority=3))
    assert names(queue) == ["a"]


def test_what_is_removed_is_gone_from_everywhere() -> None:
    queue = SchedulingQueue()
    for name in "abc":
        queue.add(pod(name))
    queue.pop(0.0)
    queue.failed("a", 0.0, frozenset({Event.NODE}))
    queue.pop(0.0)
    queue.failed("b", 0.0, None)
    for name in "abc":
        queue.remove(name)
    queue.happened(Event.NODE, 99.0)
    assert names(queue, 999.0) == []
    assert queue.next_due(999.0) is None
    queue.add(pod("a"))
    assert names(queue, 999.0) == ["a"]
