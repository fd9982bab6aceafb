"""ReplicaSets: how many pods, which go first, whose they are, and what is not yet seen."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.aio.now import stamp
from dockyard.cluster.client.resources import PODS, REPLICA_SETS
from dockyard.cluster.controllers.doomed import COST, doomed
from dockyard.cluster.meta.errors import Forbidden
from helpers.controllers import Cluster, with_controllers

NOW = 1_000_000.0


def pod(uid: str, **how: Any) -> dict[str, Any]:
    """A pod that runs, is ready and old; ``how`` says what is different."""
    ready = how.get("ready", 100_000.0)  # seconds ago; None: it is not
    condition = {"type": "Ready", "status": "False" if ready is None else "True",
                 "lastTransitionTime": stamp(NOW - (ready or 0))}  # fmt: skip
    annotations = {COST: how["cost"]} if "cost" in how else {}
    return {
        "metadata": {"uid": uid, "name": uid, "annotations": annotations,
                     "creationTimestamp": stamp(NOW - how.get("age", 200_000.0))},
        "spec": {"nodeName": how.get("node", "n1")} if how.get("node", "n1") else {},
        "status": {"phase": how.get("phase", "Running"), "conditions": [condition],
                   "containerStatuses": [{"restartCount": how.get("restarts", 0)}]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"node": "", "phase": "Pending"}, {"phase": "Pending"}),
        ({"phase": "Pending"}, {"phase": "Unknown"}),
        ({"phase": "Unknown"}, {"phase": "Running"}),
        ({"ready": None}, {}),
        ({"cost": "-5"}, {}),
        ({}, {"cost": "7"}),
        ({"ready": 10.0}, {"ready": 1000.0}),
        ({"restarts": 3}, {"restarts": 1}),
        ({"age": 10.0}, {"age": 1000.0}),
        # what stands higher in the list decides
        ({"node": "", "phase": "Pending", "cost": "99"}, {"cost": "-99"}),
        ({"ready": None, "cost": "99"}, {"restarts": 9}),
    ],
)
def test_who_goes_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    """ActivePodsWithRanks of kubernetes' pkg/controller."""
    pair = [pod("b", **second), pod("a", **first)]
    for order in (pair, pair[::-1]):
        assert doomed(order, 1, NOW)[0]["metadata"]["uid"] == "a"


def test_where_most_of_the_kin_are_goes_first() -> None:
    crowded = [pod("a", node="n1"), pod("b", node="n2")]
    kin = [*crowded, pod("c", node="n2"), pod("d", node="n2")]
    assert doomed(crowded, 1, NOW, kin)[0]["metadata"]["uid"] == "b"


def test_times_of_the_same_magnitude_are_equal() -> None:
    """LogarithmicScaleDown: 100 and 101 seconds are about the same; then the uid decides."""
    pair = [pod("b", ready=100.0), pod("a", ready=101.0)]
    assert doomed(pair, 1, NOW)[0]["metadata"]["uid"] == "a"


def replica_set(replicas: int, name: str = "web", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": {**labels, "tier": "front"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}  # fmt: skip
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": {"name": name}, "spec": spec}


ALONE = ("replicaset",)


def test_pods_are_made_and_deleted(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(3))
        pods = await cluster.pods()
        assert len(pods) == 3
        metadata = pods[0]["metadata"]
        assert metadata["name"].startswith("web-")
        assert metadata["labels"] == {"app": "web", "tier": "front"}
        owner = metadata["ownerReferences"][0]
        assert (owner["apiVersion"], owner["kind"], owner["name"]) == (
            "apps/v1", "ReplicaSet", "web",
        )  # fmt: skip
        said = await cluster.events("web")
        assert sorted(said) == sorted(
            ("Normal", "SuccessfulCreate", f"Created pod: {each['metadata']['name']}")
            for each in pods
        )
        names = await cluster.names()
        await cluster.run_pods(names[:2])
        await cluster.patch(REPLICA_SETS, "web", {"spec": {"replicas": 2}})
        assert await cluster.names() == names[:2]  # the one that did not run has gone
        assert (await cluster.events("web"))[-1] == (
            "Normal", "SuccessfulDelete", f"Deleted pod: {names[2]}",
        )  # fmt: skip
        status = (await cluster.get(REPLICA_SETS, "web"))["status"]
        assert status == {"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2,
                          "availableReplicas": 2, "observedGeneration": 2}  # fmt: skip

    with_controllers(tmp_path, ALONE, test)


def test_pods_that_are_gone_are_replaced(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(2))
        names = await cluster.names()
        for name in names:
            await cluster.place_pod(name)
        await cluster.run_pods()
        await cluster.delete(PODS, names[0])
        assert len(await cluster.list(PODS)) == 3  # its successor does not wait for its end
        await cluster.say(names[1], "Failed")
        await cluster.settle()
        assert len(await cluster.pods()) == 3
        assert len([each for each in await cluster.pods()
                    if each["status"]["phase"] != "Failed"]) == 2  # fmt: skip

    with_controllers(tmp_path, ALONE, test)


def test_many_pods_are_made_once(tmp_path: Path) -> None:
    """What the copy does not show yet is not made again."""

    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(120))
        assert len(await cluster.list(PODS)) == 120
        for size in (7, 60, 0, 33):
            await cluster.patch(REPLICA_SETS, "web", {"spec": {"replicas": size}})
            assert len(await cluster.list(PODS)) == size

    with_controllers(tmp_path, ALONE, test)


def test_a_template_that_nobody_accepts_is_tried_once_at_first(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        tries = 0
        local = cluster.server.local

        class Refusing:
            async def call(self, request: Any) -> Any:
                nonlocal tries
                if request.verb == "create" and request.resource == PODS:
                    tries += 1
                    raise Forbidden("no")
                return await local.call(request)

            watch = staticmethod(local.watch)
            close = staticmethod(local.close)

        cluster.client.transport = Refusing()
        await cluster.create(REPLICA_SETS, replica_set(400))
        assert tries <= 3
        found = (await cluster.get(REPLICA_SETS, "web"))["status"]["conditions"][0]
        assert (found["type"], found["status"], found["reason"]) == (
            "ReplicaFailure", "True", "FailedCreate",
        )  # fmt: skip
        cluster.client.transport = local
        await cluster.clock.advance(60)
        assert len(await cluster.list(PODS)) == 400
        assert "conditions" not in (await cluster.get(REPLICA_SETS, "web"))["status"]

    with_controllers(tmp_path, ALONE, test)


def lone(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}  # fmt: skip


def test_orphans_are_adopted_and_strangers_are_not(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(PODS, lone("mine", app="web"))
        await cluster.create(PODS, lone("stranger", app="other"))
        owned = lone("owned", app="web")
        owned["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "1", "controller": True}
        ]
        await cluster.create(PODS, owned)
        made = await cluster.create(REPLICA_SETS, replica_set(2))
        names = await cluster.names(app="web")
        assert len(names) == 3
        adopted = (await cluster.get(PODS, "mine"))["metadata"]["ownerReferences"]
        assert [each["uid"] for each in adopted] == [made["metadata"]["uid"]]
        assert "ownerReferences" not in (await cluster.get(PODS, "stranger"))["metadata"]

    with_controllers(tmp_path, ALONE, test)


def test_a_pod_whose_label_is_taken_off_is_let_go(tmp_path: Path) -> None:
    """How one takes a pod out of its Service to look at it."""

    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(1))
        (name,) = await cluster.names()
        await cluster.patch(PODS, name, {"metadata": {"labels": {"app": "debug"}}})
        assert not (await cluster.get(PODS, name))["metadata"].get("ownerReferences")
        assert len(await cluster.names(app="web")) == 1
        await cluster.patch(PODS, name, {"metadata": {"labels": {"app": "web"}}})
        assert len(await cluster.names(app="web")) == 1  # adopted again: one is too many

    with_controllers(tmp_path, ALONE, test)


def test_a_set_that_is_being_deleted_makes_nothing(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(1))
        await cluster.patch(REPLICA_SETS, "web", {"metadata": {"finalizers": ["x.org/wait"]}})
        await cluster.delete(REPLICA_SETS, "web")
        (name,) = await cluster.names()
        await cluster.delete(PODS, name)
        assert await cluster.pods() == []
        await cluster.create(PODS, lone("orphan", app="web"))
        assert "ownerReferences" not in (await cluster.get(PODS, "orphan"))["metadata"]

    with_controllers(tmp_path, ALONE, test)


def test_orphans_are_not_adopted_by_a_ghost(tmp_path: Path) -> None:
    """``kubectl delete rs --cascade=orphan``: the pods stay, and are nobody's."""

    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(3))
        names = await cluster.names()
        await cluster.delete(REPLICA_SETS, "web", propagation="Orphan")
        await cluster.clock.advance(5)
        assert await cluster.is_gone(REPLICA_SETS, "web")
        assert await cluster.names() == names
        for name in names:
            assert not (await cluster.get(PODS, name))["metadata"].get("ownerReferences")

    with_controllers(tmp_path, ("replicaset", "garbagecollector"), test)


def test_min_ready_seconds(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(REPLICA_SETS, replica_set(2, minReadySeconds=10))
        first, second = await cluster.names()
        await cluster.run_pods([first])
        await cluster.clock.advance(6)
        await cluster.run_pods([second])

        async def available() -> int:
            status = (await cluster.get(REPLICA_SETS, "web"))["status"]
            return int(status.get("availableReplicas", 0))

        assert await available() == 0
        await cluster.clock.advance(4)
        assert await available() == 1
        await cluster.clock.advance(6)
        assert await available() == 2

    with_controllers(tmp_path, ALONE, test)
