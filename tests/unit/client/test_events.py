"""Events: what is said again counts, a flood ends, and nothing stops because of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.events import BURST, LONGEST_MESSAGE, REFILL_SECONDS, Recorder
from dockyard.cluster.client.resources import EVENTS
from dockyard.cluster.meta import errors
from helpers.apiobjects import pod
from helpers.memoryapi import MemoryApi

POD = {**pod("web"), "metadata": {"name": "web", "namespace": "shop", "uid": "u1"}}


def run(body: Callable[[TurnableClock, MemoryApi, Recorder], Awaitable[None]]) -> None:
    clock, api = TurnableClock(), MemoryApi()
    run_turnable(clock, body(clock, api, Recorder(Client(api), clock, "kubelet", "node-1")))


def test_an_event_says_who_what_and_when() -> None:
    async def body(clock: TurnableClock, api: MemoryApi, recorder: Recorder) -> None:
        await recorder.event(POD, "Warning", "BackOff", "x" * 5000, "spec.containers{c}")
        (event,) = api.all(EVENTS)
        assert event["metadata"]["namespace"] == "shop"
        assert event["metadata"]["name"].startswith("web.")
        assert event["involvedObject"] == {
            "kind": "Pod", "apiVersion": "v1", "name": "web", "namespace": "shop", "uid": "u1",
            "fieldPath": "spec.containers{c}",
        }  # fmt: skip
        assert (event["type"], event["reason"], event["count"]) == ("Warning", "BackOff", 1)
        assert len(event["message"]) == LONGEST_MESSAGE
        assert event["source"] == {"component": "kubelet", "host": "node-1"}
        assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:00Z"

    run(body)


def test_names_are_in_the_order_of_what_happened() -> None:
    """Times are whole seconds: of one second, kubectl shows events by name."""

    async def body(clock: TurnableClock, api: MemoryApi, recorder: Recorder) -> None:
        other = Recorder(Client(api), clock, "another")
        for number in range(6):
            await (other if number % 2 else recorder).event(POD, "Normal", "Step", f"{number}")
        await clock.advance(0.001)
        await recorder.event(POD, "Normal", "Step", "6")
        found = sorted(api.all(EVENTS), key=lambda event: str(event["metadata"]["name"]))
        assert [event["message"] for event in found] == [str(number) for number in range(7)]
        nanoseconds = int(found[0]["metadata"]["name"].removeprefix("web."), 16)  # client-go's
        assert abs(nanoseconds / 1e9 - clock.time()) < 0.01

    run(body)


def test_what_is_said_again_counts() -> None:
    async def body(clock: TurnableClock, api: MemoryApi, recorder: Recorder) -> None:
        for _ in range(3):
            await recorder.event(POD, "Normal", "Pulled", "image a")
            await clock.advance(60)
        await recorder.event(POD, "Normal", "Pulled", "image b")
        first, second = api.all(EVENTS)
        assert (first["count"], second["count"]) == (3, 1)
        assert first["firstTimestamp"] == "2026-01-01T00:00:00Z"
        assert first["lastTimestamp"] == "2026-01-01T00:02:00Z"
        name = first["metadata"]["name"]
        api.remove(EVENTS, name, "shop")  # its hour is over
        await recorder.event(POD, "Normal", "Pulled", "image a")
        assert [each["count"] for each in api.all(EVENTS)] == [1, 1]

    run(body)


def test_a_flood_ends_and_others_are_heard() -> None:
    async def body(clock: TurnableClock, api: MemoryApi, recorder: Recorder) -> None:
        for number in range(100):
            await recorder.event(POD, "Normal", "Said", str(number))
        assert len(api.all(EVENTS)) == BURST
        other: dict[str, Any] = {**POD, "metadata": {**POD["metadata"], "uid": "u2"}}
        await recorder.event(other, "Normal", "Said", "other")
        assert len(api.all(EVENTS)) == BURST + 1
        await clock.advance(REFILL_SECONDS)
        for number in range(100, 110):
            await recorder.event(POD, "Normal", "Said", str(number))
        assert len(api.all(EVENTS)) == BURST + 2

    run(body)


def test_what_cannot_be_written_stops_nothing() -> None:
    async def body(clock: TurnableClock, api: MemoryApi, recorder: Recorder) -> None:
        for error in (errors.Forbidden("no"), Unavailable("away")):
            api.refuse = lambda request, error=error: error  # type: ignore[misc]
            await recorder.event(POD, "Normal", "Said", "something")
        api.refuse = lambda request: None
        await recorder.event(POD, "Normal", "Said", "something")
        (event,) = api.all(EVENTS)
        assert event["count"] == 1

    run(body)
