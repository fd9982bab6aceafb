"""The whole scheduler over a Transport in memory, on a clock that the test turns."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import CLAIMS, EVENTS, NODES, PODS, STORAGE_CLASSES
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.jsonvalues import copied
from dockyard.cluster.scheduler.plugins.volume_binding import SELECTED_NODE
from dockyard.cluster.scheduler.scheduler import Scheduler
from helpers.apiobjects import created, obj
from helpers.apiobjects import pod as api_pod
from helpers.memoryapi import MemoryApi


def node(name: str = "n", cpu: str = "1") -> dict[str, Any]:
    found = obj("v1", "Node", name, spec={})
    found["status"] = {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "110"}}
    return found


def pod(name: str = "p", cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    found = created(api_pod(name, containers=[container], **spec))
    found["metadata"]["uid"] = f"uid-{name}"
    return found


def scheduling(test: Callable[[MemoryApi, TurnableClock], Awaitable[None]]) -> None:
    """Run a test beside a scheduler."""
    clock = TurnableClock()

    async def main() -> None:
        api = MemoryApi()
        client = Client(api)
        informers = Informers(client, clock)
        scheduler = Scheduler(client, informers, clock, random.Random(1))
        async with Tasks() as tasks:
            informers.start(tasks)
            tasks.start(scheduler.run(), name="scheduler", essential=True)
            await test(api, clock)

    run_turnable(clock, main())


def notes(api: MemoryApi) -> list[tuple[str, str, int]]:
    return [(each["reason"], each["message"], each["count"]) for each in api.all(EVENTS)]


def where(api: MemoryApi, name: str = "p") -> str:
    return str(api.at(PODS, name, "default")["spec"].get("nodeName", ""))


def test_a_pod_is_bound_and_said_so() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        api.put(NODES, node())
        api.put(PODS, pod())
        await clock.settle()
        assert where(api) == "n"
        assert notes(api) == [("Scheduled", "Successfully assigned default/p to n", 1)]
        (call,) = [each for each in api.calls if each.subresource == "binding"]
        assert call.body["metadata"]["uid"] == "uid-p"

    scheduling(test)


def test_a_pod_without_a_node_says_why_and_goes_when_one_comes() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        api.put(PODS, pod(cpu="2"))
        api.put(NODES, node())
        await clock.settle()
        message = (
            "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 "
            "Preemption is not helpful for scheduling."
        )
        assert notes(api)[-1][:2] == ("FailedScheduling", message)
        (condition,) = api.at(PODS, "p", "default")["status"]["conditions"]
        assert {key: condition[key] for key in ("type", "status", "reason", "message")} == {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
        api.put(NODES, node("big", cpu="4"))
        await clock.advance(30.0)
        assert where(api) == "big"

    scheduling(test)


def test_room_is_counted_before_the_binding_is_seen() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        api.put(NODES, node(cpu="1"))
        for number in range(15):
            api.put(PODS, pod(f"p{number}"))
        await clock.settle()
        bound = [each for each in api.all(PODS) if each["spec"].get("nodeName")]
        assert len(bound) == 10
        api.remove(PODS, bound[0]["metadata"]["name"], "default")
        await clock.advance(30.0)
        assert len([each for each in api.all(PODS) if each["spec"].get("nodeName")]) == 10

    scheduling(test)


def test_a_refused_binding_is_tried_again() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        refusals = [errors.ServiceUnavailable("store: busy")]

        def refuse(request: Any) -> errors.ApiError | None:
            return refusals.pop() if request.subresource == "binding" and refusals else None

        api.refuse = refuse
        api.put(NODES, node())
        api.put(PODS, pod())
        await clock.settle()
        assert where(api) == ""
        assert notes(api)[0][:2] == ("FailedScheduling", "binding rejected: store: busy")
        await clock.advance(1.0)
        assert where(api) == "n"

    scheduling(test)


def test_the_same_failure_is_counted_not_repeated() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        api.put(NODES, node())
        api.put(PODS, pod(cpu="2"))
        await clock.settle()
        for number in range(3):
            changed = node()
            changed["metadata"]["labels"] = {"try": str(number)}
            api.put(NODES, changed)
            await clock.advance(20.0)
        ((_, _, count),) = [each for each in notes(api) if "Insufficient" in each[1]]
        assert count == 4

    scheduling(test)


def test_somebody_elses_pods_and_gated_ones_are_left_alone() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        api.put(NODES, node())
        api.put(PODS, pod("other", schedulerName="mine"))
        api.put(PODS, pod("gated", schedulingGates=[{"name": "a/b"}]))
        await clock.advance(400.0)
        assert (where(api, "other"), where(api, "gated")) == ("", "")
        free = copied(api.at(PODS, "gated", "default"))
        del free["spec"]["schedulingGates"]
        api.put(PODS, free)
        await clock.settle()
        assert where(api, "gated") == "n"

    scheduling(test)


def claim() -> dict[str, Any]:
    spec = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"]}
    return {**obj("v1", "PersistentVolumeClaim", "data", spec=spec), "status": {"phase": "Pending"}}


WITH_CLAIM = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]


def with_class(api: MemoryApi) -> None:
    api.put(NODES, node())
    api.put(
        STORAGE_CLASSES,
        obj("storage.k8s.io/v1", "StorageClass", "local", provisioner="dockyard.io/local-path",
            volumeBindingMode="WaitForFirstConsumer"),
    )  # fmt: skip


def test_a_pod_waits_until_its_claim_is_bound() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        with_class(api)
        api.put(PODS, pod(volumes=WITH_CLAIM))
        await clock.settle()
        assert 'persistentvolumeclaim "data" not found' in notes(api)[-1][1]
        api.put(CLAIMS, claim())
        await clock.advance(2.0)
        told = copied(api.at(CLAIMS, "data", "default"))
        assert told["metadata"]["annotations"] == {SELECTED_NODE: "n"}
        assert where(api) == ""
        told["spec"]["volumeName"] = "pv"
        told["status"] = {"phase": "Bound"}
        api.put(CLAIMS, told)
        await clock.settle()
        assert where(api) == "n"

    scheduling(test)


def test_a_provisioner_that_gives_up_sends_the_pod_back() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        with_class(api)
        api.put(CLAIMS, claim())
        api.put(PODS, pod(volumes=WITH_CLAIM))
        await clock.settle()
        api.put(CLAIMS, claim())
        await clock.settle()
        assert any("provisioning failed for PVC" in each[1] for each in notes(api))
        await clock.advance(1.0)
        annotations = api.at(CLAIMS, "data", "default")["metadata"].get("annotations", {})
        assert annotations == {SELECTED_NODE: "n"}

    scheduling(test)


def test_a_pod_deleted_while_its_claim_is_bound_frees_its_room() -> None:
    async def test(api: MemoryApi, clock: TurnableClock) -> None:
        with_class(api)
        api.put(CLAIMS, claim())
        api.put(PODS, pod("first", cpu="1", volumes=WITH_CLAIM))
        await clock.settle()
        api.put(PODS, pod("second", cpu="1"))
        await clock.settle()
        assert where(api, "second") == ""
        api.remove(PODS, "first", "default")
        await clock.advance(2.0)
        assert where(api, "second") == "n"

    scheduling(test)
