"""StatefulSets: order, identity, claims, updates and their history."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import CLAIMS, PODS, REVISIONS, STATEFUL_SETS
from dockyard.cluster.controllers.identities import Step, next_steps
from helpers.controllers import Cluster, with_controllers

ALONE = ("statefulset",)
HASH = "controller-revision-hash"


def found(replicas: int = 3, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "db"}, "spec": {"replicas": replicas, **spec}}


def pods(*states: str, start: int = 0, revision: str = "new") -> dict[str, Any]:
    """``r``eady, ``w``aiting, ``g``oing, ``f``ailed, ``o``ld and ready, ``-`` none."""
    made = {}
    for number, state in enumerate(states, start):
        if state == "-":
            continue
        name = f"db-{number}"
        metadata: dict[str, Any] = {"name": name, "labels": {HASH: revision}}
        if state == "g":
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        if state in "ox":
            metadata["labels"] = {HASH: "old"}
        ready = {"type": "Ready", "status": "True" if state in "rog" else "False",
                 "lastTransitionTime": "1970-01-01T00:00:00Z"}  # fmt: skip
        phase = {"f": "Failed", "w": "Pending"}.get(state, "Running")
        made[name] = {"metadata": metadata, "status": {"phase": phase, "conditions": [ready]}}
    return made


def steps(wish: dict[str, Any], have: dict[str, Any], now: float = 1000.0) -> list[str]:
    return [f"{verb} {number}" for verb, _, number in next_steps(wish, have, "new", now)]


@pytest.mark.parametrize(
    ("wish", "have", "expected"),
    [
        # one after the other
        (found(), pods(), ["create 0"]),
        (found(), pods("w"), []),
        (found(), pods("r"), ["create 1"]),
        (found(), pods("r", "r", "r"), []),
        (found(), pods("r", "-", "r"), ["create 1"]),
        (found(), pods("-", "r", "r"), ["create 0"]),
        # one that has ended is made again, and the others wait
        (found(), pods("r", "f", "-"), ["delete 1"]),
        (found(), pods("r", "g", "-"), []),
        # the last goes first, each when the one before is gone
        (found(1), pods("r", "r", "r"), ["delete 2"]),
        (found(1), pods("r", "r", "g"), []),
        (found(1), pods("w", "r", "r"), []),
        (found(1), pods("r", "w", "r"), ["delete 2"]),
        (found(1), pods("r", "r", "w"), ["delete 2"]),
        (found(1), pods("r", "w", "w"), []),  # the broken one that is not the first waits
        (found(0), pods("r"), ["delete 0"]),
        # updates from the last to the first
        (found(), pods("o", "o", "o"), ["delete 2"]),
        (found(), pods("o", "o", "g"), []),
        (found(), pods("o", "o", "w"), []),
        (found(), pods("o", "o", "r"), ["delete 1"]),
        (found(), pods("o", "r", "r"), ["delete 0"]),
        # documented: a broken update stops, and is not gone past
        (found(), pods("o", "o", "x"), []),
        # a start other than 0
        (found(2, ordinals={"start": 5}), pods("r", start=5), ["create 6"]),
        (found(2, ordinals={"start": 5}), pods("r", "r", start=5), []),
        (found(2, ordinals={"start": 1}), pods("r", "r", "r"), ["delete 0"]),
    ],
)
def test_in_order(wish: dict[str, Any], have: dict[str, Any], expected: list[str]) -> None:
    assert steps(wish, have) == expected


def parallel(replicas: int = 3, **spec: Any) -> dict[str, Any]:
    return found(replicas, podManagementPolicy="Parallel", **spec)


@pytest.mark.parametrize(
    ("wish", "have", "expected"),
    [
        (parallel(), pods(), ["create 0", "create 1", "create 2"]),
        (parallel(), pods("w", "-", "f"), ["create 1", "delete 2"]),
        (parallel(1), pods("r", "r", "w"), ["delete 2", "delete 1"]),
        # Parallel is about making and deleting, not about updates
        (parallel(), pods("o", "o", "o"), ["delete 2"]),
        (parallel(), pods("o", "o", "g"), []),
        (parallel(), pods("o", "o", "w"), []),
    ],
)
def test_in_parallel(wish: dict[str, Any], have: dict[str, Any], expected: list[str]) -> None:
    assert steps(wish, have) == expected


def test_update_strategies() -> None:
    on_delete = {"updateStrategy": {"type": "OnDelete"}}
    assert steps(found(**on_delete), pods("o", "o", "o")) == []
    canary = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    assert steps(found(**canary), pods("o", "o", "o")) == ["delete 2"]
    assert steps(found(**canary), pods("o", "o", "r")) == []
    above = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 9}}}
    assert steps(found(**above), pods("o", "o", "o")) == []


def test_ready_for_long_enough() -> None:
    wish = found(2, minReadySeconds=30)
    assert next_steps(wish, pods("r"), "new", 29.0) == []
    assert next_steps(wish, pods("r"), "new", 30.0) == [Step("create", "db-1", 1)]


# the whole controller


def stateful_set(replicas: int = 2, image: str = "redis:1", **spec: Any) -> dict[str, Any]:
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": image}]}}  # fmt: skip
    claim = {"metadata": {"name": "data"},
             "spec": {"accessModes": ["ReadWriteOnce"],
                      "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    spec = {"replicas": replicas, "serviceName": "db", "selector": {"matchLabels": labels},
            "template": template, "volumeClaimTemplates": [claim], **spec}  # fmt: skip
    return {"metadata": {"name": "db"}, "spec": spec}


async def roll(cluster: Cluster, rounds: int = 12) -> None:
    for _ in range(rounds):
        await cluster.run_pods()
        await cluster.end_pods()
        await cluster.clock.advance(1)


async def images(cluster: Cluster) -> dict[str, str]:
    return {each["metadata"]["name"]: each["spec"]["containers"][0]["image"]
            for each in await cluster.pods()}  # fmt: skip


def image(name: str) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": name}]


def test_identities_and_claims(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STATEFUL_SETS, stateful_set())
        assert await cluster.names() == ["db-0"]
        await cluster.run_pods()
        assert await cluster.names() == ["db-0", "db-1"]
        await cluster.run_pods()
        pod = await cluster.get(PODS, "db-1")
        labels = pod["metadata"]["labels"]
        assert labels["statefulset.kubernetes.io/pod-name"] == "db-1"
        assert labels["apps.kubernetes.io/pod-index"] == "1"
        status = (await cluster.get(STATEFUL_SETS, "db"))["status"]
        assert labels[HASH] == status["updateRevision"] == status["currentRevision"]
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
        volume = next(each for each in pod["spec"]["volumes"] if each["name"] == "data")
        assert volume["persistentVolumeClaim"] == {"claimName": "data-db-1"}
        claims = await cluster.list(CLAIMS)
        assert [each["metadata"]["name"] for each in claims] == ["data-db-0", "data-db-1"]
        assert claims[0]["metadata"]["labels"] == {"app": "db"}
        assert "ownerReferences" not in claims[0]["metadata"]
        assert status["replicas"] == status["readyReplicas"] == status["availableReplicas"] == 2
        assert await cluster.events("db") == [
            ("Normal", "SuccessfulCreate",
             "create Claim data-db-0 Pod db-0 in StatefulSet db success"),
            ("Normal", "SuccessfulCreate", "create Pod db-0 in StatefulSet db successful"),
            ("Normal", "SuccessfulCreate",
             "create Claim data-db-1 Pod db-1 in StatefulSet db success"),
            ("Normal", "SuccessfulCreate", "create Pod db-1 in StatefulSet db successful"),
        ]  # fmt: skip

    with_controllers(tmp_path, ALONE, test)


def test_claims_stay_for_the_next_pod_of_that_name(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STATEFUL_SETS, stateful_set(1))
        await roll(cluster, 2)
        before = (await cluster.get(CLAIMS, "data-db-0"))["metadata"]["uid"]
        first = (await cluster.get(PODS, "db-0"))["metadata"]["uid"]
        await cluster.delete(PODS, "db-0")
        await roll(cluster, 2)
        assert (await cluster.get(PODS, "db-0"))["metadata"]["uid"] != first
        assert (await cluster.get(CLAIMS, "data-db-0"))["metadata"]["uid"] == before
        await cluster.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 0}})
        await roll(cluster, 2)
        assert await cluster.pods() == []
        assert len(await cluster.list(CLAIMS)) == 1

    with_controllers(tmp_path, ALONE, test)


def test_claims_that_go_with_their_pods(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
        wish = stateful_set(2, persistentVolumeClaimRetentionPolicy=policy)
        await cluster.create(STATEFUL_SETS, wish)
        await roll(cluster, 3)
        await cluster.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1}})
        await roll(cluster, 3)
        assert [each["metadata"]["name"] for each in await cluster.list(CLAIMS)] == ["data-db-0"]
        await cluster.delete(STATEFUL_SETS, "db")
        await roll(cluster, 3)
        assert await cluster.list(CLAIMS) == []

    with_controllers(tmp_path, (*ALONE, "garbagecollector"), test)


def test_an_update_goes_one_by_one_and_can_be_undone(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STATEFUL_SETS, stateful_set(3))
        await roll(cluster, 4)
        first = (await cluster.get(STATEFUL_SETS, "db"))["status"]["currentRevision"]
        await cluster.patch(STATEFUL_SETS, "db", image("redis:2"))
        await cluster.clock.advance(1)
        status = (await cluster.get(STATEFUL_SETS, "db"))["status"]
        assert status["currentRevision"] == first != status["updateRevision"]
        await cluster.run_pods(["db-2"])
        await cluster.clock.advance(1)
        assert (await images(cluster))["db-0"] == "redis:1"
        await roll(cluster)
        assert await images(cluster) == {f"db-{n}": "redis:2" for n in range(3)}
        status = (await cluster.get(STATEFUL_SETS, "db"))["status"]
        assert status["currentRevision"] == status["updateRevision"] != first
        assert (status["currentReplicas"], status["updatedReplicas"]) == (3, 3)
        old = await cluster.get(REVISIONS, first)
        assert old["revision"] == 1
        # as `kubectl rollout undo` does it: the revision's data is a strategic merge patch
        template = dict(old["data"]["spec"]["template"])
        assert template.pop("$patch") == "replace"
        undo = [{"op": "replace", "path": "/spec/template", "value": template}]
        await cluster.patch(STATEFUL_SETS, "db", undo)
        await roll(cluster)
        assert await images(cluster) == {f"db-{n}": "redis:1" for n in range(3)}
        again = await cluster.get(REVISIONS, first)
        assert again["revision"] == 3
        assert len(await cluster.list(REVISIONS)) == 2

    with_controllers(tmp_path, ALONE, test)


def test_pods_below_the_partition_keep_their_revision_when_they_are_made_again(
    tmp_path: Path,
) -> None:
    async def test(cluster: Cluster) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        await cluster.create(STATEFUL_SETS, stateful_set(3, updateStrategy=strategy))
        await roll(cluster, 4)
        await cluster.patch(STATEFUL_SETS, "db", image("redis:2"))
        await roll(cluster)
        expected = {"db-0": "redis:1", "db-1": "redis:1", "db-2": "redis:2"}
        assert await images(cluster) == expected
        await cluster.delete(PODS, "db-0")
        await roll(cluster)
        assert await images(cluster) == expected
        status = (await cluster.get(STATEFUL_SETS, "db"))["status"]
        assert (status["currentReplicas"], status["updatedReplicas"]) == (2, 1)

    with_controllers(tmp_path, ALONE, test)


def test_history_is_limited(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STATEFUL_SETS, stateful_set(1, revisionHistoryLimit=2))
        for number in range(2, 8):
            await roll(cluster, 4)
            await cluster.patch(STATEFUL_SETS, "db", image(f"redis:{number}"))
        await roll(cluster, 4)
        assert sorted(each["revision"] for each in await cluster.list(REVISIONS)) == [5, 6, 7]

    with_controllers(tmp_path, ALONE, test)


def test_a_pod_that_fails_is_made_again_under_its_name(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STATEFUL_SETS, stateful_set(1))
        await roll(cluster, 2)
        first = (await cluster.get(PODS, "db-0"))["metadata"]["uid"]
        await cluster.say("db-0", "Failed", ready=False)
        await roll(cluster, 3)
        assert (await cluster.get(PODS, "db-0"))["metadata"]["uid"] != first

    with_controllers(tmp_path, ALONE, test)


def test_orphans_of_that_name_are_adopted_and_others_are_not(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        for name in ("db-0", "db-x", "other-1"):
            await cluster.create(PODS, {
                "metadata": {"name": name, "labels": {"app": "db"}},
                "spec": {"containers": [{"name": "c", "image": "redis:1"}]},
            })  # fmt: skip
        await cluster.create(STATEFUL_SETS, stateful_set(1))
        await cluster.clock.advance(2)
        owned = [each["metadata"]["name"] for each in await cluster.pods()
                 if each["metadata"].get("ownerReferences")]  # fmt: skip
        assert owned == ["db-0"]

    with_controllers(tmp_path, ALONE, test)
