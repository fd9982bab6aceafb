"""The turnable clock turns in order, settles, and times out; stamps follow RFC 3339."""

import asyncio

import pytest

from dockyard.base.aio import now
from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks, in_thread


def test_callbacks_run_at_their_own_time_in_order() -> None:
    clock = TurnableClock()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.monotonic()))
        await clock.sleep(1)
        seen.append((name + "+1", clock.monotonic()))

    async def main() -> None:
        async with Tasks() as tasks:
            tasks.start(sleeper("b", 20), name="b")
            tasks.start(sleeper("a", 10), name="a")
            await clock.advance(20.5)
            assert seen == [("a", 10), ("a+1", 11), ("b", 20)]
            await clock.advance(1)
            assert seen[-1] == ("b+1", 21)

    run_turnable(clock, main())


def test_a_day_takes_no_time_and_a_chain_of_tasks_settles() -> None:
    clock = TurnableClock()
    steps = 0

    async def relay(depth: int) -> None:
        nonlocal steps
        steps += 1
        if depth:
            await asyncio.get_running_loop().create_task(relay(depth - 1))

    async def main() -> None:
        async with Tasks() as tasks:
            clock.call_later(86_400, lambda: tasks.start(relay(50), name="relay"))
            await clock.advance(86_399)
            assert steps == 0
            await clock.advance(1)
            assert steps == 51

    run_turnable(clock, main())


def test_advance_waits_for_work_in_a_thread() -> None:
    clock = TurnableClock()
    done: list[int] = []

    async def work() -> None:
        await clock.sleep(1)
        done.append(await in_thread(clock, sum, range(1_000_000)))

    async def main() -> None:
        async with Tasks() as tasks:
            tasks.start(work(), name="work")
            await clock.advance(1)
            assert done == [499999500000]

    run_turnable(clock, main())


def test_timeout_raises_at_its_deadline_only() -> None:
    clock = TurnableClock()
    outcomes: list[str] = []

    async def main() -> None:
        async def slow() -> None:
            try:
                async with clock.timeout(5):
                    await clock.sleep(10)
            except TimeoutError:
                outcomes.append("timed out")

        async def quick() -> None:
            async with clock.timeout(5):
                await clock.sleep(4)
            await clock.sleep(10)
            outcomes.append("in time")

        async with Tasks() as tasks:
            tasks.start(slow(), name="slow")
            tasks.start(quick(), name="quick")
            await clock.advance(4.9)
            assert outcomes == []
            await clock.advance(0.1)
            assert outcomes == ["timed out"]
            await clock.advance(10)
            assert outcomes == ["timed out", "in time"]

    run_turnable(clock, main())


def test_an_outer_cancellation_is_not_taken_for_a_timeout() -> None:
    clock = TurnableClock()

    async def main() -> None:
        async def body() -> None:
            async with clock.timeout(5):
                await clock.sleep(10)

        task = asyncio.get_running_loop().create_task(body())
        await clock.advance(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_turnable(clock, main())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("2026-11-24T13:06:59Z", 1795525619.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1969-12-31T23:00:00.25-01:00", 0.25),
    ],
)
def test_stamps_parse(text: str, seconds: float) -> None:
    assert now.parse_stamp(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00:00.xZ"]
)
def test_what_is_no_stamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        now.parse_stamp(text)


def test_stamps_print() -> None:
    assert now.stamp(1.9) == "1970-01-01T00:00:01Z"
    assert now.micro_stamp(1.000002) == "1970-01-01T00:00:01.000002Z"
    assert now.nano_stamp(1.5) == "1970-01-01T00:00:01.500000000Z"
