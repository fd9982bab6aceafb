"""A work queue: no key twice at once, none forgotten, failures later and later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.workqueue import FIRST_PAUSE, LONGEST_PAUSE, WorkQueue, work
from dockyard.cluster.meta.errors import Conflict


def run(
    sync: Callable[[TurnableClock, str], Awaitable[None]],
    body: Callable[[TurnableClock, WorkQueue], Awaitable[None]],
    workers: int = 4,
) -> None:
    clock = TurnableClock()

    async def main() -> None:
        queue = WorkQueue(clock)
        async with Tasks() as tasks:
            tasks.start(
                work("test", queue, lambda key: sync(clock, key), workers), name="work",
                essential=True,
            )  # fmt: skip
            await clock.settle()
            await body(clock, queue)

    run_turnable(clock, main())


def test_a_key_is_worked_on_once_and_once_more_for_what_came_meanwhile() -> None:
    begun: list[tuple[float, str]] = []

    async def sync(clock: TurnableClock, key: str) -> None:
        begun.append((clock.monotonic(), key))
        await clock.sleep(10)

    async def body(clock: TurnableClock, queue: WorkQueue) -> None:
        for key in "aabab":
            queue.add(key)
        await clock.advance(5)
        assert begun == [(0, "a"), (0, "b")]
        for _ in range(3):
            queue.add("a")
        await clock.advance(30)
        assert begun == [(0, "a"), (0, "b"), (10, "a")]
        assert len(queue) == 0

    run(sync, body)


def test_many_keys_never_the_same_one_twice_at_once() -> None:
    working: set[str] = set()
    done: list[str] = []

    async def sync(clock: TurnableClock, key: str) -> None:
        assert key not in working
        working.add(key)
        await clock.sleep(1)
        working.discard(key)
        done.append(key)

    async def body(clock: TurnableClock, queue: WorkQueue) -> None:
        for round in range(20):
            for number in range(10):
                queue.add(str(number))
            await clock.advance(0.5 if round % 2 else 1.0)
        await clock.advance(60)
        assert {done.count(str(number)) for number in range(10)} <= set(range(2, 21))
        assert len(queue) == 0

    run(sync, body)


def test_of_several_times_the_first_one_counts() -> None:
    begun: list[float] = []

    async def sync(clock: TurnableClock, key: str) -> None:
        begun.append(clock.monotonic())

    async def body(clock: TurnableClock, queue: WorkQueue) -> None:
        queue.add_after("a", 10)
        queue.add_after("a", 3)
        queue.add_after("a", 7)
        await clock.advance(20)
        assert begun == [3]
        queue.add_after("a", 0)
        await clock.settle()
        assert begun == [3, 20]

    run(sync, body)


@pytest.mark.parametrize("error", [Conflict("changed"), Unavailable("away"), ValueError("a bug")])
def test_failures_come_later_and_later_until_one_goes_well(error: Exception) -> None:
    begun: list[float] = []
    failing = True

    async def sync(clock: TurnableClock, key: str) -> None:
        begun.append(clock.monotonic())
        if failing:
            raise error

    async def body(clock: TurnableClock, queue: WorkQueue) -> None:
        nonlocal failing
        queue.add("a")
        await clock.advance(600)
        pauses = [after - before for before, after in pairwise(begun)]
        wanted = [min(LONGEST_PAUSE, FIRST_PAUSE * 2**n) for n in range(len(pauses))]
        assert pauses == pytest.approx(wanted)
        assert pauses[-1] == pytest.approx(LONGEST_PAUSE)
        failing = False
        await clock.advance(LONGEST_PAUSE)
        count = len(begun)
        await clock.advance(600)
        assert len(begun) == count
        failing = True
        queue.add("a")
        await clock.settle()
        first = begun[-1]
        await clock.advance(FIRST_PAUSE)
        assert begun[-1] - first == pytest.approx(FIRST_PAUSE)  # counted anew

    run(sync, body)


def test_what_waits_for_its_time_ends_with_its_workers() -> None:
    begun: list[str] = []
    clock = TurnableClock()

    async def sync(key: str) -> None:
        begun.append(key)

    async def main() -> None:
        queue = WorkQueue(clock)
        async with Tasks() as tasks:
            tasks.start(work("test", queue, sync), name="work")
            await clock.settle()
            queue.add_after("a", 5)
        await clock.advance(10)
        assert begun == []
        assert len(queue) == 0

    run_turnable(clock, main())
