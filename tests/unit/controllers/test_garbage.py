"""What goes with its owners: foreground, background, orphans, and what never goes (F19)."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import CONFIG_MAPS, NODES, SECRETS
from dockyard.cluster.client.transport import Object
from helpers.controllers import Cluster, with_controllers

ALONE = ("garbagecollector",)


def reference(owner: Object, kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
    metadata = owner["metadata"]
    return {"apiVersion": "v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
            **more}  # fmt: skip


def owned(name: str, *owners: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": list(owners)}}


async def plain(cluster: Cluster, name: str, namespace: str = "default") -> Object:
    return await cluster.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": namespace}})


async def there(cluster: Cluster, namespace: str = "default") -> list[str]:
    return sorted(each["metadata"]["name"] for each in await cluster.list(CONFIG_MAPS, namespace))


def test_background(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        top = await plain(cluster, "top")
        middle = await cluster.create(CONFIG_MAPS, owned("middle", reference(top)))
        await cluster.create(SECRETS, owned("bottom", reference(middle)))
        await plain(cluster, "other")
        await cluster.delete(CONFIG_MAPS, "top", propagation="Background")
        await cluster.clock.advance(1)
        assert await there(cluster) == ["other"]
        assert await cluster.list(SECRETS) == []

    with_controllers(tmp_path, ALONE, test)


@pytest.mark.parametrize("blocks", [True, False])
def test_foreground(tmp_path: Path, blocks: bool) -> None:
    async def test(cluster: Cluster) -> None:
        top = await plain(cluster, "top")
        child = owned("child", reference(top, blockOwnerDeletion=blocks))
        child["metadata"]["finalizers"] = ["example.org/slow"]
        await cluster.create(CONFIG_MAPS, child)
        await cluster.delete(CONFIG_MAPS, "top", propagation="Foreground")
        await cluster.clock.advance(1)
        left = ["child", "top"] if blocks else ["child"]
        assert await there(cluster) == left
        assert "deletionTimestamp" in (await cluster.get(CONFIG_MAPS, "child"))["metadata"]
        await cluster.patch(CONFIG_MAPS, "child", {"metadata": {"finalizers": None}})
        await cluster.clock.advance(1)
        assert await there(cluster) == []

    with_controllers(tmp_path, ALONE, test)


def test_orphans_stay(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        top = await plain(cluster, "top")
        other = await plain(cluster, "other")
        await cluster.create(CONFIG_MAPS, owned("child", reference(top), reference(other)))
        await cluster.delete(CONFIG_MAPS, "top", propagation="Orphan")
        await cluster.clock.advance(1)
        assert await there(cluster) == ["child", "other"]
        owners = (await cluster.get(CONFIG_MAPS, "child"))["metadata"]["ownerReferences"]
        assert [each["name"] for each in owners] == ["other"]

    with_controllers(tmp_path, ALONE, test)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_what_has_another_owner_stays(tmp_path: Path, propagation: str) -> None:
    async def test(cluster: Cluster) -> None:
        top, other = await plain(cluster, "top"), await plain(cluster, "other")
        blocking = reference(top, blockOwnerDeletion=True)
        await cluster.create(CONFIG_MAPS, owned("child", blocking, reference(other)))
        await cluster.delete(CONFIG_MAPS, "top", propagation=propagation)
        await cluster.clock.advance(1)
        assert await there(cluster) == ["child", "other"]
        owners = (await cluster.get(CONFIG_MAPS, "child"))["metadata"]["ownerReferences"]
        assert [each["name"] for each in owners] == ["other"]

    with_controllers(tmp_path, ALONE, test)


def test_an_owner_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await plain(cluster, "top")
        stale = {"apiVersion": "v1", "kind": "ConfigMap", "name": "top", "uid": "not-that-one"}
        await cluster.create(CONFIG_MAPS, owned("child", stale))
        await cluster.clock.advance(1)
        assert await there(cluster) == ["top"]

    with_controllers(tmp_path, ALONE, test)


def test_an_owner_in_another_namespace_deletes_nothing(tmp_path: Path) -> None:
    """F19: neither while it lives there, nor does its name here stand in for it."""

    async def test(cluster: Cluster) -> None:
        far = await plain(cluster, "far", "other")
        await cluster.create(CONFIG_MAPS, owned("child", reference(far)))
        await cluster.clock.advance(1)
        assert await there(cluster) == ["child"]
        said = await cluster.events("child")
        uid = far["metadata"]["uid"]
        assert said == [
            ("Warning", "OwnerRefInvalidNamespace",
             f"ownerRef [apiVersion: v1, kind: ConfigMap, name: far, uid: {uid}] does not exist in "
             'namespace "default"')
        ]  # fmt: skip
        await cluster.client.delete(CONFIG_MAPS, "far", "other", propagation="Foreground")
        await cluster.clock.advance(1)
        assert await there(cluster, "other") == []

    with_controllers(tmp_path, ALONE, test)


def test_an_owner_that_cannot_be_checked_deletes_nothing(tmp_path: Path) -> None:
    """F19: a kind that nobody serves, and a cluster's object with a namespaced owner."""

    async def test(cluster: Cluster) -> None:
        strange = {"apiVersion": "example.org/v1", "kind": "Thing", "name": "x", "uid": "1"}
        await cluster.create(CONFIG_MAPS, owned("child", strange))
        gone = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "2"}
        node = {"metadata": {"name": "n1", "ownerReferences": [gone]}, "spec": {}}
        await cluster.client.create(NODES, node)
        await cluster.clock.advance(5)
        assert await there(cluster) == ["child"]
        assert not await cluster.is_gone(NODES, "n1")

    with_controllers(tmp_path, ALONE, test)


def test_a_clusters_object_owns_namespaced_ones(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        node = await cluster.client.create(NODES, {"metadata": {"name": "n1"}, "spec": {}})
        await cluster.create(CONFIG_MAPS, owned("child", reference(node, "Node")))
        await cluster.clock.advance(1)
        assert await there(cluster) == ["child"]
        await cluster.delete(NODES, "n1")
        await cluster.clock.advance(1)
        assert await there(cluster) == []

    with_controllers(tmp_path, ALONE, test)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_owners_in_a_circle(tmp_path: Path, propagation: str) -> None:
    """F19: they wait for each other no longer than for anybody."""

    async def test(cluster: Cluster) -> None:
        first = await plain(cluster, "first")
        second = await cluster.create(
            CONFIG_MAPS, owned("second", reference(first, blockOwnerDeletion=True))
        )
        circle = {"metadata": {"ownerReferences": [reference(second, blockOwnerDeletion=True)]}}
        await cluster.patch(CONFIG_MAPS, "first", circle)
        await cluster.clock.advance(10)
        assert await there(cluster) == ["first", "second"]
        await cluster.delete(CONFIG_MAPS, "first", propagation=propagation)
        await cluster.clock.advance(10)
        assert await there(cluster) == []

    with_controllers(tmp_path, ALONE, test)


def test_an_owner_that_comes_back_in_time_is_asked_for_itself(tmp_path: Path) -> None:
    """The live object decides, not the copy: a dependent that is seen first is not deleted."""

    async def test(cluster: Cluster) -> None:
        made = []
        for number in range(20):
            top = await cluster.client.create(
                CONFIG_MAPS, {"metadata": {"name": f"top{number}", "namespace": "default"}}
            )
            await cluster.client.create(CONFIG_MAPS, owned(f"child{number}", reference(top)))
            made += [f"top{number}", f"child{number}"]
        await cluster.clock.advance(5)
        assert await there(cluster) == sorted(made)

    with_controllers(tmp_path, ALONE, test)
