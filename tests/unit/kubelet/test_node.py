"""The node's own object and lease, over the real API on a turned clock."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.resources import LEASES, NAMESPACES, NODES
from dockyard.cluster.kubelet import nodeinfo
from dockyard.cluster.kubelet.node import LEASE_NAMESPACE, NodeStatus
from dockyard.cluster.kubelet.nodeinfo import Machine
from dockyard.interfaces import cri
from helpers.apiserver import serving
from helpers.fakecri import FakeCri


class Found:
    def __init__(self, client: Client, clock: TurnableClock, folder: Path) -> None:
        self.client, self.clock, self.cri = client, clock, FakeCri(clock)
        self.node = NodeStatus(
            client, clock, self.cri, self.cri, name="n1", address="192.0.2.1", port=10250,
            release="1.33", folder=folder,
        )  # fmt: skip

    async def object(self) -> Any:
        return await self.client.get(NODES, "n1")

    async def condition(self, kind: str) -> Any:
        conditions = (await self.object())["status"]["conditions"]
        return next(each for each in conditions if each["type"] == kind)


def on_a_machine(tmp_path: Path, test: Callable[[Found, Tasks], Awaitable[None]]) -> None:
    clock = TurnableClock()

    async def main() -> None:
        async with serving(tmp_path / "api", clock) as server, Tasks() as tasks:
            await server.client.create(NAMESPACES, {"metadata": {"name": LEASE_NAMESPACE}})
            await test(Found(server.client, clock, tmp_path), tasks)

    run_turnable(clock, main())


def test_a_node_registers_and_is_ready(tmp_path: Path) -> None:
    async def test(found: Found, tasks: Tasks) -> None:
        found.cri.have("nginx:1")
        await found.node.register()
        node = await found.object()
        labels = node["metadata"]["labels"]
        assert labels["kubernetes.io/hostname"] == "n1"
        assert labels["kubernetes.io/os"] == "linux"
        assert labels["kubernetes.io/arch"] in ("amd64", "arm64")
        status = node["status"]
        assert status["addresses"] == [{"type": "InternalIP", "address": "192.0.2.1"},
                                       {"type": "Hostname", "address": "n1"}]  # fmt: skip
        assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
        assert {"cpu", "memory", "pods", "ephemeral-storage"} <= status["capacity"].keys()
        assert status["allocatable"] == status["capacity"]
        info = status["nodeInfo"]
        assert info["containerRuntimeVersion"] == "fake://1.0"
        assert info["kubeletVersion"].startswith("v1.33.")
        assert info["operatingSystem"] == "linux"
        assert status["images"] == [{"names": ["nginx:1"], "sizeBytes": 1000}]
        ready = await found.condition("Ready")
        assert (ready["status"], ready["reason"], ready["message"]) == (
            "True", "KubeletReady", "kubelet is posting ready status",
        )  # fmt: skip
        kinds = [each["type"] for each in status["conditions"]]
        assert kinds == ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]

    on_a_machine(tmp_path, test)


def test_a_node_that_is_there_is_taken_over(tmp_path: Path) -> None:
    async def test(found: Found, tasks: Tasks) -> None:
        there = {"metadata": {"name": "n1", "labels": {"mine": "kept", "kubernetes.io/os": "x"}},
                 "spec": {"unschedulable": True}}  # fmt: skip
        await found.client.create(NODES, there)
        await found.node.register()
        node = await found.object()
        assert node["metadata"]["labels"]["mine"] == "kept"
        assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
        assert node["spec"]["unschedulable"] is True
        assert (await found.condition("Ready"))["status"] == "True"

    on_a_machine(tmp_path, test)


def test_the_lease_is_renewed_every_ten_seconds(tmp_path: Path) -> None:
    """G15: what the node life cycle looks at."""

    async def test(found: Found, tasks: Tasks) -> None:
        await found.node.register()
        tasks.start(found.node.renew(), name="lease", essential=True)
        for seconds in ("00", "10", "20"):
            await found.clock.settle()
            lease = await found.client.get(LEASES, "n1", LEASE_NAMESPACE)
            assert lease["spec"] == {
                "holderIdentity": "n1", "leaseDurationSeconds": 40,
                "renewTime": f"2026-01-01T00:00:{seconds}.000000Z",
            }  # fmt: skip
            await found.clock.advance(10)
        owner = lease["metadata"]["ownerReferences"][0]
        assert owner["uid"] == (await found.object())["metadata"]["uid"]

    on_a_machine(tmp_path, test)


def test_a_quiet_node_writes_its_status_every_five_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodeinfo, "measure", lambda folder: Machine(8 * 1024**3, 0.5, 0.5))

    async def test(found: Found, tasks: Tasks) -> None:
        await found.node.register()
        tasks.start(found.node.run(), name="status", essential=True)
        before = (await found.object())["metadata"]["resourceVersion"]
        await found.clock.advance(299)
        assert (await found.object())["metadata"]["resourceVersion"] == before
        await found.clock.advance(12)
        ready = await found.condition("Ready")
        assert ready["lastHeartbeatTime"] > "2026-01-01T00:04:59Z"
        assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"

    on_a_machine(tmp_path, test)


def test_a_runtime_that_does_not_work_makes_the_node_unready(tmp_path: Path) -> None:
    async def test(found: Found, tasks: Tasks) -> None:
        await found.node.register()
        tasks.start(found.node.run(), name="status", essential=True)
        found.cri.failing["status"] = Unavailable("the engine does not answer")
        await found.clock.advance(10)
        ready = await found.condition("Ready")
        assert (ready["status"], ready["reason"], ready["message"]) == (
            "False", "KubeletNotReady",
            "container runtime is down: the engine does not answer",
        )  # fmt: skip
        assert ready["lastTransitionTime"] == "2026-01-01T00:00:10Z"
        del found.cri.failing["status"]
        found.cri.conditions = (
            cri.RuntimeCondition("RuntimeReady", True),
            cri.RuntimeCondition("NetworkReady", False, "NetworkPluginNotReady", "no CNI"),
        )
        await found.clock.advance(10)
        assert (await found.condition("Ready"))["message"] == (
            "container runtime network not ready: NetworkReady=false "
            "reason:NetworkPluginNotReady message:no CNI"
        )
        found.cri.conditions = (cri.RuntimeCondition("RuntimeReady", True),)
        await found.clock.advance(10)
        assert (await found.condition("Ready"))["status"] == "True"

    on_a_machine(tmp_path, test)


def test_a_node_that_was_deleted_comes_back(tmp_path: Path) -> None:
    async def test(found: Found, tasks: Tasks) -> None:
        await found.node.register()
        tasks.start(found.node.run(), name="status", essential=True)
        await found.client.delete(NODES, "n1")
        await found.clock.advance(10)
        assert (await found.condition("Ready"))["status"] == "True"

    on_a_machine(tmp_path, test)


def test_conditions_of_others_stay(tmp_path: Path) -> None:
    async def test(found: Found, tasks: Tasks) -> None:
        await found.node.register()
        conditions = (await found.object())["status"]["conditions"]
        other = {"type": "FrequentRestarts", "status": "False"}
        patch = {"status": {"conditions": [*conditions, other]}}
        await found.client.patch(NODES, "n1", patch, subresource="status")
        tasks.start(found.node.run(), name="status", essential=True)
        await found.clock.advance(310)
        assert (await found.condition("FrequentRestarts"))["status"] == "False"

    on_a_machine(tmp_path, test)


@pytest.mark.parametrize(
    ("machine", "kind", "reason", "message"),
    [
        (Machine(50 * 1024**2, 0.5, 0.5), "MemoryPressure", "KubeletHasInsufficientMemory",
         "kubelet has insufficient memory available"),
        (Machine(8 * 1024**3, 0.05, 0.5), "DiskPressure", "KubeletHasDiskPressure",
         "kubelet has disk pressure"),
        (Machine(8 * 1024**3, 0.5, 0.01), "PIDPressure", "KubeletHasInsufficientPID",
         "kubelet has insufficient PID available"),
    ],
)  # fmt: skip
def test_pressure(machine: Machine, kind: str, reason: str, message: str) -> None:
    found = {each[0]: each for each in nodeinfo.conditions(machine, "")}
    assert found[kind] == (kind, True, reason, message)
    assert [name for name, each in found.items() if each[1]] == [kind, "Ready"]


def test_no_pressure() -> None:
    found = nodeinfo.conditions(Machine(8 * 1024**3, 0.5, 0.5), "")
    assert [each[2] for each in found] == [
        "KubeletHasSufficientMemory", "KubeletHasNoDiskPressure", "KubeletHasSufficientPID",
        "KubeletReady",
    ]  # fmt: skip
