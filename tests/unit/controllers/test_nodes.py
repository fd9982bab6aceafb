"""Nodes that fall silent, their taints, and the pods that have to go (G15)."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio import now
from dockyard.cluster.client.resources import LEASES, NAMESPACES, NODES, PODS
from dockyard.cluster.controllers.taints import tolerated_seconds, tolerates, wanted
from helpers.controllers import Cluster, with_controllers

ALONE = ("node",)
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
STAMP = "2026-01-01T00:00:00Z"


async def node(cluster: Cluster, name: str = "n1") -> None:
    """A node that is ready, with a lease."""
    await cluster.client.create(NODES, {"metadata": {"name": name}, "spec": {}})
    await ready(cluster, "True", name)
    lease = {"metadata": {"name": name, "namespace": "kube-node-lease"},
             "spec": {"holderIdentity": name}}  # fmt: skip
    await cluster.client.create(LEASES, lease)
    await renew(cluster, name)


async def ready(cluster: Cluster, value: str, name: str = "n1") -> None:
    condition = {"type": "Ready", "status": value, "reason": "KubeletReady",
                 "lastTransitionTime": now.stamp(cluster.clock.time())}  # fmt: skip
    status = {"status": {"conditions": [condition]}}
    await cluster.client.patch(NODES, name, status, subresource="status")


async def renew(cluster: Cluster, name: str = "n1") -> None:
    stamp = now.micro_stamp(cluster.clock.time())
    patch = {"spec": {"renewTime": stamp}}
    await cluster.client.patch(LEASES, name, patch, "kube-node-lease")


async def alive(cluster: Cluster, seconds: int, name: str = "n1") -> None:
    """The node's kubelet is there for so long."""
    for _ in range(seconds // 10):
        await renew(cluster, name)
        await cluster.clock.advance(10)


async def taints(cluster: Cluster, name: str = "n1") -> list[tuple[str, str]]:
    found = await cluster.get(NODES, name)
    return [(each["key"], each["effect"]) for each in found["spec"].get("taints") or ()]


async def condition(cluster: Cluster, kind: str = "Ready") -> tuple[str, str, str]:
    found = await cluster.get(NODES, "n1")
    each = next(each for each in found["status"]["conditions"] if each["type"] == kind)
    return each["status"], each["reason"], each.get("message", "")


def pod(name: str, *tolerations: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": "n1", "tolerations": list(tolerations),
                     "containers": [{"name": "c", "image": "nginx:1"}]}}  # fmt: skip


def with_nodes(tmp_path: Path, test: Any, *more: str) -> None:
    async def main(cluster: Cluster) -> None:
        await cluster.client.create(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
        await node(cluster)
        await test(cluster)

    with_controllers(tmp_path, (*ALONE, *more), main)


def test_a_node_that_renews_its_lease_is_let_be(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await alive(cluster, 600)
        assert await taints(cluster) == []
        assert (await condition(cluster))[0] == "True"

    with_nodes(tmp_path, test)


def test_silence_makes_a_node_unknown_and_its_pods_unready(tmp_path: Path) -> None:
    """G15: nobody sends to what nobody hears of; nothing is evicted before its time."""

    async def test(cluster: Cluster) -> None:
        await cluster.client.create(PODS, pod("web"))
        await cluster.say("web", "Running")
        await alive(cluster, 60)
        await cluster.clock.advance(35)
        assert (await condition(cluster))[0] == "True"
        await cluster.clock.advance(20)
        assert await condition(cluster) == (
            "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.",
        )  # fmt: skip
        assert await taints(cluster) == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
        found = await cluster.get(PODS, "web")
        assert found["status"]["conditions"][0]["status"] == "False"
        assert ("Normal", "NodeNotReady", "Node n1 status is now: NodeNotReady"
                ) in await cluster.events("n1")  # fmt: skip
        assert ("Warning", "NodeNotReady", "Node is not ready") in await cluster.events("web")
        await cluster.clock.advance(280)
        assert "deletionTimestamp" not in (await cluster.get(PODS, "web"))["metadata"]
        await cluster.clock.advance(30)  # the default toleration is 300 s
        found = await cluster.get(PODS, "web")
        assert "deletionTimestamp" in found["metadata"]
        disrupted = next(
            c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget"
        )
        assert (disrupted["reason"], disrupted["message"]) == (
            "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint",
        )  # fmt: skip
        assert ("Normal", "TaintManagerEviction", "Marking for deletion Pod default/web"
                ) in await cluster.events("web")  # fmt: skip
        # and it stays there until its kubelet says that it is gone
        await cluster.clock.advance(3600)
        assert not await cluster.is_gone(PODS, "web")

    with_nodes(tmp_path, test)


def test_a_node_that_is_back_in_time_keeps_its_pods(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(PODS, pod("web"))
        await cluster.clock.advance(200)
        assert (await condition(cluster))[0] == "Unknown"
        await ready(cluster, "True")
        await alive(cluster, 600)
        assert await taints(cluster) == []
        assert "deletionTimestamp" not in (await cluster.get(PODS, "web"))["metadata"]
        await cluster.clock.advance(100)  # the time counts from the next silence
        assert (UNREACHABLE, "NoExecute") in await taints(cluster)
        await cluster.clock.advance(200)
        assert "deletionTimestamp" not in (await cluster.get(PODS, "web"))["metadata"]

    with_nodes(tmp_path, test)


def test_a_node_that_says_it_is_not_ready(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(PODS, pod("web"))
        await cluster.say("web", "Running")
        await ready(cluster, "False")
        await alive(cluster, 20)
        assert await taints(cluster) == [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]
        assert (await cluster.get(PODS, "web"))["status"]["conditions"][0]["status"] == "False"
        await cluster.say("web", "Running")  # its kubelet knows better
        await alive(cluster, 20)
        assert (await cluster.get(PODS, "web"))["status"]["conditions"][0]["status"] == "True"

    with_nodes(tmp_path, test)


def test_a_node_that_never_said_anything(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(NODES, {"metadata": {"name": "n2"}, "spec": {}})
        await cluster.clock.advance(10)
        assert (NOT_READY, "NoExecute") in await taints(cluster, "n2")
        await cluster.clock.advance(60)
        found = (await cluster.get(NODES, "n2"))["status"]["conditions"]
        assert {each["reason"] for each in found} == {"NodeStatusNeverUpdated"}
        assert {each["type"] for each in found} == {
            "Ready", "MemoryPressure", "DiskPressure", "PIDPressure",
        }  # fmt: skip

    with_nodes(tmp_path, test)


def test_a_clock_that_jumps_evicts_nobody(tmp_path: Path) -> None:
    """G14: a renewal counts when it is seen, whatever time it names."""

    async def test(cluster: Cluster) -> None:
        for number in range(60):
            patch = {"spec": {"renewTime": f"1999-01-01T00:00:{number:02}.000000Z"}}
            await cluster.client.patch(LEASES, "n1", patch, "kube-node-lease")
            await cluster.clock.advance(10)
        assert (await condition(cluster))[0] == "True"

    with_nodes(tmp_path, test)


def test_a_taint_of_a_users_evicts_at_once_or_after_a_while(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        away = {"key": "maintenance", "operator": "Exists", "effect": "NoExecute"}
        await cluster.client.create(PODS, pod("at-once"))
        await cluster.client.create(PODS, pod("later", {**away, "tolerationSeconds": 60}))
        await cluster.client.create(PODS, pod("never", away))
        await cluster.client.create(PODS, pod("other", {**away, "operator": "Equal",
                                                        "value": "x"}))  # fmt: skip
        await alive(cluster, 20)
        taint = {"key": "maintenance", "value": "now", "effect": "NoExecute"}
        await cluster.patch(NODES, "n1", {"spec": {"taints": [taint]}})
        await alive(cluster, 10)

        async def going() -> list[str]:
            return sorted(each["metadata"]["name"] for each in await cluster.list(PODS)
                          if "deletionTimestamp" in each["metadata"])  # fmt: skip

        assert await going() == ["at-once", "other"]
        await alive(cluster, 40)
        assert await going() == ["at-once", "other"]
        await alive(cluster, 30)
        assert await going() == ["at-once", "later", "other"]
        await alive(cluster, 600)
        assert await going() == ["at-once", "later", "other"]
        assert await taints(cluster) == [("maintenance", "NoExecute")]

    with_nodes(tmp_path, test)


def test_cordon(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.patch(NODES, "n1", {"spec": {"unschedulable": True}})
        await alive(cluster, 10)
        assert await taints(cluster) == [("node.kubernetes.io/unschedulable", "NoSchedule")]
        await cluster.patch(NODES, "n1", {"spec": {"unschedulable": None}})
        await alive(cluster, 10)
        assert await taints(cluster) == []

    with_nodes(tmp_path, test)


def test_a_set_with_identities_waits_for_its_lost_pod(tmp_path: Path) -> None:
    """G15: no second pod of that name before the first is confirmed gone."""

    async def test(cluster: Cluster) -> None:
        from dockyard.cluster.client.resources import STATEFUL_SETS

        labels = {"app": "db"}
        spec = {
            "serviceName": "db",
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "redis:1"}]},
            },
        }
        made = await cluster.create(STATEFUL_SETS, {"metadata": {"name": "db"}, "spec": spec})
        assert made
        await cluster.place_pod("db-0")
        await cluster.run_pods()
        first = await cluster.get(PODS, "db-0")
        await cluster.clock.advance(600)
        lost = await cluster.get(PODS, "db-0")
        assert lost["metadata"]["uid"] == first["metadata"]["uid"]
        assert "deletionTimestamp" in lost["metadata"]
        await cluster.end_pods()  # the node is back, or somebody has forced it
        await cluster.clock.advance(5)
        assert (await cluster.get(PODS, "db-0"))["metadata"]["uid"] != first["metadata"]["uid"]

    with_nodes(tmp_path, test, "statefulset")


def test_pods_of_a_node_that_is_gone_for_good_are_collected(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(PODS, pod("web"))
        await cluster.say("web", "Running")
        await cluster.delete(NODES, "n1")
        await cluster.clock.advance(39)
        assert not await cluster.is_gone(PODS, "web")  # it may only be registering anew
        await cluster.clock.advance(41)
        assert await cluster.is_gone(PODS, "web")

    with_nodes(tmp_path, test, "podgarbage")


def test_a_node_that_is_back_in_time_keeps_its_pods_from_being_collected(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(PODS, pod("web"))
        await cluster.delete(NODES, "n1")
        await cluster.clock.advance(25)
        await cluster.client.create(NODES, {"metadata": {"name": "n1"}, "spec": {}})
        await ready(cluster, "True")
        await alive(cluster, 120)
        assert not await cluster.is_gone(PODS, "web")

    with_nodes(tmp_path, test, "podgarbage")


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k"}, False),
        ({"key": "j", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], covers: bool) -> None:
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoExecute"}) is covers


def test_the_shortest_toleration_counts() -> None:
    taint = [{"key": "k", "effect": "NoExecute"}, {"key": "j", "effect": "NoExecute"}]
    both = {"operator": "Exists"}
    found = {"spec": {"tolerations": [both, {"key": "k", "operator": "Exists",
                                             "tolerationSeconds": 30}]}}  # fmt: skip
    assert tolerated_seconds(found, taint) == 30
    assert tolerated_seconds({"spec": {"tolerations": [both]}}, taint) is None
    assert tolerated_seconds({"spec": {}}, taint) == 0
    assert tolerated_seconds({"spec": {}}, []) is None


def test_taints_of_pressure() -> None:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]
    mine = {"key": "mine", "effect": "NoSchedule"}
    found = wanted({"spec": {"taints": [mine]}, "status": {"conditions": conditions}}, STAMP)
    assert found == [mine, {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule",
                            "timeAdded": STAMP}]  # fmt: skip
