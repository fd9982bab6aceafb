"""An informer's copy: whole, in order, and right again after whatever cuts it off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import LONGEST_PAUSE, Informer, Informers
from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.resources import CONFIG_MAPS, PODS
from dockyard.cluster.client.transport import Object, Request, WatchEvent
from dockyard.cluster.meta.errors import Expired
from helpers.memoryapi import MemoryApi


class CutApi(MemoryApi):
    """An API whose watches can be ended, and refused."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock
        self.refusal: Exception | None = None
        self.lists = 0
        self.watched: list[float] = []

    async def call(self, request: Request) -> Object:
        self.lists += request.verb == "list"
        return await super().call(request)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        self.watched.append(self._clock.monotonic())
        if self.refusal is not None:
            raise self.refusal
        async for event in super().watch(request):
            yield event


class Bench:
    """An informer of ConfigMaps, its API, and what its handler was told."""

    def __init__(self) -> None:
        self.clock = TurnableClock()
        self.api = CutApi(self.clock)
        self.detector = MutationDetector()
        self.informer = Informer(
            Client(self.api), CONFIG_MAPS, self.clock, self.detector.handed_out
        )
        self.told: list[tuple[str | None, str | None]] = []
        self.informer.add_handler(self._tell)

    def _tell(self, before: Object | None, after: Object | None) -> None:
        self.told.append((text(before), text(after)))

    def put(self, name: str, value: str, **labels: str) -> None:
        metadata = {"name": name, "namespace": "default", "labels": labels}
        self.api.put(CONFIG_MAPS, {"metadata": metadata, "data": {"v": value}})

    def take(self) -> list[tuple[str | None, str | None]]:
        told, self.told = self.told, []
        return told


def text(obj: Object | None) -> str | None:
    return None if obj is None else f"{obj['metadata']['name']}={obj['data']['v']}"


def run(body: Callable[[Bench], Awaitable[None]]) -> None:
    bench = Bench()

    async def main() -> None:
        async with Tasks() as tasks:
            bench.put("a", "1")
            tasks.start(bench.informer.run(), name="informer", essential=True)
            await bench.clock.settle()
            assert bench.informer.has_synced
            await body(bench)
        bench.detector.check()

    run_turnable(bench.clock, main())


def test_changes_come_in_order_with_what_was_before() -> None:
    async def body(bench: Bench) -> None:
        assert bench.take() == [(None, "a=1")]
        bench.put("b", "1")
        bench.put("a", "2")
        bench.put("b", "2")
        bench.api.remove(CONFIG_MAPS, "b", "default")
        await bench.clock.settle()
        assert bench.take() == [
            (None, "b=1"), ("a=1", "a=2"), ("b=1", "b=2"), ("b=2", None),
        ]  # fmt: skip
        assert [text(obj) for obj in bench.informer] == ["a=2"]
        assert text(bench.informer.get("default/a")) == "a=2"
        assert bench.informer.get("default/b") is None
        late: list[str | None] = []
        bench.informer.add_handler(lambda before, after: late.append(text(after)))
        assert late == ["a=2"]

    run(body)


def test_an_index_follows_its_objects() -> None:
    async def body(bench: Bench) -> None:
        informer = bench.informer
        informer.add_index("app", lambda obj: [v for v in [obj["metadata"]["labels"].get("app")]
                                               if v])  # fmt: skip
        bench.put("a", "2", app="web")
        bench.put("b", "1", app="web")
        await bench.clock.settle()
        assert [text(obj) for obj in informer.by("app", "web")] == ["a=2", "b=1"]
        bench.put("a", "3", app="api")
        bench.api.remove(CONFIG_MAPS, "b", "default")
        await bench.clock.settle()
        assert informer.by("app", "web") == []
        assert [text(obj) for obj in informer.by("app", "api")] == ["a=3"]
        assert [text(obj) for obj in informer.in_namespace("default")] == ["a=3"]
        assert informer.in_namespace("other") == []

    run(body)


def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    async def body(bench: Bench) -> None:
        for round in range(5):
            await bench.api.close()
            bench.put("a", f"cut {round}")  # before the next watch begins
            await bench.clock.advance(LONGEST_PAUSE)
            bench.put("a", f"live {round}")
            await bench.clock.settle()
        wanted = [f"a={word} {round}" for round in range(5) for word in ("cut", "live")]
        assert [after for _, after in bench.take()] == ["a=1", *wanted]
        assert bench.api.lists == 1

    run(body)


def test_what_is_forgotten_is_listed_again_and_what_went_is_told() -> None:
    async def body(bench: Bench) -> None:
        bench.put("b", "1")
        await bench.clock.settle()
        bench.take()
        await bench.api.close()
        bench.api.refusal = Expired("too old resource version: 1 (9)")
        bench.api.remove(CONFIG_MAPS, "a", "default")
        bench.put("c", "1")
        await bench.clock.advance(LONGEST_PAUSE)
        bench.api.refusal = None
        await bench.clock.advance(LONGEST_PAUSE)
        assert bench.take() == [("a=1", None), (None, "c=1")]  # and of b, which is as it was, none
        bench.put("d", "1")
        await bench.clock.settle()
        assert bench.take() == [(None, "d=1")]
        assert bench.api.lists >= 2

    run(body)


def test_a_server_that_refuses_is_asked_more_and_more_rarely() -> None:
    async def body(bench: Bench) -> None:
        bench.api.refusal = Unavailable("API: away")
        await bench.api.close()
        await bench.clock.advance(60)
        pauses = [after - before for before, after in pairwise(bench.api.watched)]
        assert all(pause >= 0.1 - 1e-9 for pause in pauses[1:])
        assert pauses[-1] == pytest.approx(LONGEST_PAUSE)
        assert len(pauses) < 25
        bench.api.refusal = None
        bench.put("b", "1")
        await bench.clock.advance(LONGEST_PAUSE)
        assert bench.take()[-1] == (None, "b=1")

    run(body)


def test_a_handlers_fault_is_its_own() -> None:
    async def body(bench: Bench) -> None:
        def broken(before: Object | None, after: Object | None) -> None:
            if before is not None:
                raise ValueError("broken")

        bench.informer.add_handler(broken)
        seen: list[Any] = []
        bench.informer.add_handler(lambda before, after: seen.append(text(after)))
        bench.put("a", "2")
        await bench.clock.settle()
        bench.put("a", "3")
        await bench.clock.settle()
        assert seen == ["a=1", "a=2", "a=3"]

    run(body)


def test_one_informer_a_resource_for_all_who_ask() -> None:
    clock = TurnableClock()
    informers = Informers(Client(MemoryApi()), clock)
    assert informers.of(PODS) is informers.of(PODS)
    assert informers.of(PODS) is not informers.of(CONFIG_MAPS)
    mine = informers.of(PODS, fieldSelector="spec.nodeName=a")
    assert mine is informers.of(PODS, fieldSelector="spec.nodeName=a")
    assert mine is not informers.of(PODS)
