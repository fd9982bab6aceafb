"""Writing statuses: what others say of a pod survives, and old news are no news."""

from collections.abc import Awaitable, Callable
from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import PODS
from dockyard.cluster.kubelet.statusmanager import StatusManager
from helpers.memoryapi import MemoryApi

READY = {"type": "Ready", "status": "True"}
THEIRS = {"type": "example.org/balanced", "status": "True"}


def managing(
    test: Callable[[MemoryApi, StatusManager, TurnableClock], Awaitable[None]],
) -> None:
    clock = TurnableClock()

    async def main() -> None:
        api = MemoryApi()
        manager = StatusManager(Client(api), clock)
        async with Tasks() as tasks:
            tasks.start(manager.run(), name="statuses", essential=True)
            await test(api, manager, clock)

    run_turnable(clock, main())


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "d", "uid": "u"}, "spec": spec}


def conditions(api: MemoryApi) -> list[str]:
    return [each["type"] for each in api.at(PODS, "web", "d")["status"]["conditions"]]


def test_a_condition_that_came_since_our_copy_is_kept() -> None:
    async def test(api: MemoryApi, manager: StatusManager, clock: TurnableClock) -> None:
        gates = [{"conditionType": THEIRS["type"]}]
        seen = api.put(PODS, pod(readinessGates=gates))
        api.put(PODS, {**pod(readinessGates=gates), "status": {"conditions": [THEIRS]}})
        manager.set(seen, {"phase": "Running", "conditions": [READY]})
        await clock.settle()
        assert conditions(api) == [THEIRS["type"], "Ready"]

    managing(test)


def test_old_news_are_no_reason_to_write() -> None:
    async def test(api: MemoryApi, manager: StatusManager, clock: TurnableClock) -> None:
        first = api.put(PODS, pod())
        manager.set(first, {"phase": "Pending", "conditions": [READY]})
        await clock.settle()
        between = api.at(PODS, "web", "d")
        manager.set(first, {"phase": "Running", "conditions": [READY]})
        await clock.settle()
        count = len(api.calls)
        manager.seen(between)  # the informer is late
        await clock.settle()
        assert len(api.calls) == count
        manager.seen(api.at(PODS, "web", "d"))
        await clock.settle()
        assert len(api.calls) == count
        other = api.put(PODS, {**pod(), "status": {"phase": "Pending", "conditions": [READY]}})
        manager.seen(other)  # somebody else's mistake
        await clock.settle()
        assert api.at(PODS, "web", "d")["status"]["phase"] == "Running"

    managing(test)


def test_a_pod_that_is_gone_is_forgotten() -> None:
    async def test(api: MemoryApi, manager: StatusManager, clock: TurnableClock) -> None:
        seen = api.put(PODS, pod())
        api.remove(PODS, "web", "d")
        manager.over(seen)
        await clock.advance(300)
        assert len(api.calls) <= 1
        assert api.all(PODS) == []

    managing(test)
