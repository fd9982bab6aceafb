"""Claims and volumes: who gets which, what is provisioned, what is kept."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.client.resources import CLAIMS, STORAGE_CLASSES, VOLUMES
from dockyard.cluster.controllers.volumes import SELECTED_NODE, best, fits
from helpers.controllers import Cluster, with_controllers

ALONE = ("persistentvolume",)


def volume(name: str = "pv", size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    labels = spec.pop("labels", {})
    return {"metadata": {"name": name, "labels": labels},
            "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
                     "hostPath": {"path": "/data"}, "persistentVolumeReclaimPolicy": "Retain",
                     **spec}}  # fmt: skip


def claim(name: str = "data", size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    spec.setdefault("storageClassName", "")
    return {"metadata": {"name": name, "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": size}}, **spec}}  # fmt: skip


@pytest.mark.parametrize(
    ("there", "wish", "good"),
    [
        ({}, {}, True),
        ({"size": "2Gi"}, {}, True),
        ({"size": "900Mi"}, {}, False),
        ({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}, {}, True),
        ({}, {"accessModes": ["ReadWriteMany"]}, False),
        ({"storageClassName": "fast"}, {}, False),
        ({"storageClassName": "fast"}, {"storageClassName": "fast"}, True),
        ({}, {"storageClassName": "fast"}, False),
        ({"volumeMode": "Block"}, {}, False),
        ({"labels": {"a": "b"}}, {"selector": {"matchLabels": {"a": "b"}}}, True),
        ({}, {"selector": {"matchLabels": {"a": "b"}}}, False),
        ({"claimRef": {"namespace": "default", "name": "data"}}, {}, True),
        ({"claimRef": {"namespace": "default", "name": "other"}}, {}, False),
        ({"claimRef": {"namespace": "default", "name": "data", "uid": "another"}}, {}, False),
        ({"claimRef": {"namespace": "default", "name": "data"}, "size": "1Mi"}, {}, False),
    ],
)
def test_what_fits(there: dict[str, Any], wish: dict[str, Any], good: bool) -> None:
    wanted = claim(**wish)
    wanted["metadata"]["uid"] = "u"
    assert fits(volume(**there), wanted) is good


def test_the_smallest_that_fits_and_before_it_one_that_names_the_claim() -> None:
    wanted = claim()
    wanted["metadata"]["uid"] = "u"
    sizes = [volume("big", "5Gi"), volume("right", "1Gi"), volume("small", "10Mi")]
    found = best(sizes, wanted, any_of_them=True)
    assert found is not None
    assert found["metadata"]["name"] == "right"
    named = volume("named", "9Gi", claimRef={"namespace": "default", "name": "data"})
    found = best([*sizes, named], wanted, any_of_them=True)
    assert found is not None
    assert found["metadata"]["name"] == "named"
    assert best(sizes, wanted, any_of_them=False) is None


async def phases(cluster: Cluster) -> tuple[str, str]:
    """(of the claim ``data``, of the volume ``pv``)."""
    return ((await cluster.get(CLAIMS, "data"))["status"]["phase"],
            (await cluster.get(VOLUMES, "pv"))["status"]["phase"])  # fmt: skip


def test_a_claim_is_bound(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(VOLUMES, volume())
        assert (await cluster.get(VOLUMES, "pv"))["status"]["phase"] == "Available"
        made = await cluster.create(CLAIMS, claim(size="500Mi"))
        assert await phases(cluster) == ("Bound", "Bound")
        found = await cluster.get(CLAIMS, "data")
        assert found["spec"]["volumeName"] == "pv"
        assert found["status"]["capacity"] == {"storage": "1Gi"}
        assert found["status"]["accessModes"] == ["ReadWriteOnce"]
        assert found["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
        reference = (await cluster.get(VOLUMES, "pv"))["spec"]["claimRef"]
        assert (reference["kind"], reference["uid"]) == (
            "PersistentVolumeClaim", made["metadata"]["uid"],
        )  # fmt: skip

    with_controllers(tmp_path, ALONE, test)


def test_a_claim_waits_for_a_volume(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(CLAIMS, claim())
        assert (await cluster.get(CLAIMS, "data"))["status"]["phase"] == "Pending"
        assert await cluster.events("data") == [
            ("Normal", "FailedBinding", "no persistent volumes available for this claim and no "
             "storage class is set")
        ]  # fmt: skip
        await cluster.create(VOLUMES, volume())
        assert await phases(cluster) == ("Bound", "Bound")

    with_controllers(tmp_path, ALONE, test)


def test_one_volume_is_for_one_claim(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.client.create(VOLUMES, volume())
        for name in ("a", "b", "c"):
            await cluster.client.create(CLAIMS, claim(name))
        await cluster.clock.advance(5)
        found = [each["status"]["phase"] for each in await cluster.list(CLAIMS)]
        assert sorted(found) == ["Bound", "Pending", "Pending"]
        bound = next(e for e in await cluster.list(CLAIMS) if e["status"]["phase"] == "Bound")
        reference = (await cluster.get(VOLUMES, "pv"))["spec"]["claimRef"]
        assert reference["uid"] == bound["metadata"]["uid"]

    with_controllers(tmp_path, ALONE, test)


def test_a_claim_that_names_its_volume(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(VOLUMES, volume())
        await cluster.create(VOLUMES, volume("other", "5Gi"))
        await cluster.create(CLAIMS, claim(volumeName="other"))
        found = await cluster.get(CLAIMS, "data")
        assert found["status"]["phase"] == "Bound"
        assert (await cluster.get(VOLUMES, "pv"))["status"]["phase"] == "Available"
        await cluster.create(CLAIMS, claim("late", volumeName="other"))
        assert (await cluster.get(CLAIMS, "late"))["status"]["phase"] == "Pending"
        assert (
            "Warning",
            "FailedBinding",
            'volume "other" already bound to a different claim.',
        ) in await cluster.events("late")

    with_controllers(tmp_path, ALONE, test)


def test_data_is_kept_when_its_claim_goes(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(VOLUMES, volume())
        await cluster.create(CLAIMS, claim())
        await cluster.delete(CLAIMS, "data")
        assert (await cluster.get(VOLUMES, "pv"))["status"]["phase"] == "Released"
        await cluster.create(CLAIMS, claim())  # of the same name, and another one
        assert await phases(cluster) == ("Pending", "Released")
        free = [{"op": "remove", "path": "/spec/claimRef"}]  # an administrator lets it go
        await cluster.patch(VOLUMES, "pv", free)
        assert await phases(cluster) == ("Bound", "Bound")

    with_controllers(tmp_path, ALONE, test)


def test_a_volume_that_is_lost(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(VOLUMES, volume())
        await cluster.create(CLAIMS, claim())
        await cluster.delete(VOLUMES, "pv")
        assert (await cluster.get(CLAIMS, "data"))["status"]["phase"] == "Lost"
        assert (await cluster.events("data"))[-1] == (
            "Warning", "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        )  # fmt: skip

    with_controllers(tmp_path, ALONE, test)


def test_local_path_waits_for_its_node_and_is_made_there(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        standard = await cluster.client.get(STORAGE_CLASSES, "local-path")
        mark = "storageclass.kubernetes.io/is-default-class"
        assert standard["metadata"]["annotations"][mark] == "true"
        wish = claim(size="2Gi")
        del wish["spec"]["storageClassName"]  # the default class is filled in
        made = await cluster.create(CLAIMS, wish)
        assert made["spec"]["storageClassName"] == "local-path"
        assert await cluster.events("data") == [
            ("Normal", "WaitForFirstConsumer",
             "waiting for first consumer to be created before binding")
        ]  # fmt: skip
        await cluster.create(VOLUMES, volume("static", "5Gi", storageClassName="local-path"))
        assert (await cluster.get(CLAIMS, "data"))["status"]["phase"] == "Pending"
        await cluster.delete(VOLUMES, "static")
        await cluster.patch(CLAIMS, "data", {"metadata": {"annotations": {SELECTED_NODE: "n7"}}})
        found = await cluster.get(CLAIMS, "data")
        name = f"pvc-{made['metadata']['uid']}"
        assert (found["status"]["phase"], found["spec"]["volumeName"]) == ("Bound", name)
        spec = (await cluster.get(VOLUMES, name))["spec"]
        assert spec["capacity"] == {"storage": "2Gi"}
        assert spec["hostPath"]["path"] == f"{tmp_path}/local/{name}"
        term = spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
        assert (term["key"], term["values"]) == ("kubernetes.io/hostname", ["n7"])
        assert ("Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}"
                ) in await cluster.events("data")  # fmt: skip
        await cluster.delete(CLAIMS, "data")
        metadata = (await cluster.get(VOLUMES, name))["metadata"]
        assert "deletionTimestamp" in metadata
        assert metadata["finalizers"] == ["dockyard.io/local-path"]  # its node's to take off

    with_controllers(tmp_path, ALONE, test)


def test_a_class_that_is_not_there(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(CLAIMS, claim(storageClassName="fast"))
        assert await cluster.events("data") == [
            ("Warning", "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')
        ]
        await cluster.create(VOLUMES, volume(storageClassName="fast"))
        assert await phases(cluster) == ("Bound", "Bound")

    with_controllers(tmp_path, ALONE, test)


def test_a_class_without_a_provisioner_binds_what_is_there(tmp_path: Path) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.create(STORAGE_CLASSES, {
            "metadata": {"name": "static"}, "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        })  # fmt: skip
        await cluster.create(VOLUMES, volume(storageClassName="static"))
        await cluster.create(CLAIMS, claim(storageClassName="static"))
        assert await phases(cluster) == ("Bound", "Bound")

    with_controllers(tmp_path, ALONE, test)
