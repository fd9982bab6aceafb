"""Folders of ``local-path`` volumes go with their volumes, and never too early."""

from pathlib import Path
from typing import Any

from dockyard.cluster.client.resources import CLAIMS, PODS, VOLUMES
from dockyard.cluster.kubelet.localpath import FINALIZER, is_due
from dockyard.cluster.meta.errors import NotFound
from helpers.kubelets import NODE, Place, on_a_node, with_kubelet


def volume(place: Place, path: Path | None = None, node: str = NODE, **spec: Any) -> dict[str, Any]:
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    path = path or place.folder / "local-path/pvc-1"
    path.mkdir(parents=True, exist_ok=True)
    (path / "orders.db").write_text("1")
    return {
        "metadata": {"name": "pvc-1", "finalizers": [FINALIZER]},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                 "hostPath": {"path": str(path)}, "persistentVolumeReclaimPolicy": "Delete",
                 "nodeAffinity": {"required": {
                     "nodeSelectorTerms": [{"matchExpressions": [term]}]}}, **spec},
    }  # fmt: skip


async def gone(place: Place) -> bool:
    try:
        await place.client.get(VOLUMES, "pvc-1")
    except NotFound:
        return True
    return False


async def delete(place: Place) -> None:
    await place.client.delete(VOLUMES, "pvc-1")
    await place.clock.settle()


def test_a_folder_goes_with_its_volume(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.client.create(VOLUMES, volume(place))
        await place.clock.settle()
        folder = place.folder / "local-path/pvc-1"
        assert folder.exists()
        await delete(place)
        assert await gone(place)
        assert not folder.exists()

    with_kubelet(tmp_path, test)


def test_one_that_was_deleted_while_the_node_was_down(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.client.create(VOLUMES, volume(place))
        await delete(place)
        assert not await gone(place)
        async with place.kubelet():
            assert await gone(place)
        assert not (place.folder / "local-path/pvc-1").exists()

    on_a_node(tmp_path, test)


def test_data_that_is_to_be_kept(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.client.create(VOLUMES, volume(place, persistentVolumeReclaimPolicy="Retain"))
        await delete(place)
        assert await gone(place)
        assert (place.folder / "local-path/pvc-1/orders.db").exists()

    with_kubelet(tmp_path, test)


def test_another_folder_is_left_alone(tmp_path: Path) -> None:
    """F23: what a volume says of itself does not widen what is removed."""

    async def test(place: Place) -> None:
        precious = place.folder / "home/pvc-1"
        await place.client.create(VOLUMES, volume(place, precious))
        await delete(place)
        assert await gone(place)
        assert (precious / "orders.db").exists()

    with_kubelet(tmp_path, test)


def test_another_nodes_volume_is_left_alone(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.client.create(VOLUMES, volume(place, node="node-2"))
        await delete(place)
        await place.clock.advance(60)
        assert not await gone(place)
        assert (place.folder / "local-path/pvc-1/orders.db").exists()

    with_kubelet(tmp_path, test)


def test_while_a_claim_or_a_pod_has_it_it_stays(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        claim = await place.client.create(CLAIMS, {
            "metadata": {"name": "data", "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pvc-1",
                     "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}},
        })  # fmt: skip
        reference = {"namespace": "default", "name": "data", "uid": claim["metadata"]["uid"]}
        await place.client.create(VOLUMES, volume(place, claimRef=reference))
        found = {**claim, "status": {"phase": "Bound"}}
        await place.client.update_status(CLAIMS, found)
        source = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
        await place.create(volumes=[source])
        assert place.cri.running() == ["c/0"]
        await delete(place)
        await place.clock.advance(60)
        assert not await gone(place)  # the claim is still there
        await place.client.delete(CLAIMS, "data", "default")
        await place.clock.advance(60)
        assert not await gone(place)  # the pod still runs
        assert (place.folder / "local-path/pvc-1/orders.db").exists()
        await place.client.delete(PODS, "web", "default")
        await place.clock.advance(10)
        assert await gone(place)
        assert not (place.folder / "local-path/pvc-1").exists()

    with_kubelet(tmp_path, test)


def test_who_is_due() -> None:
    found: dict[str, Any] = {"metadata": {"finalizers": [FINALIZER]}, "spec": {"hostPath": {}}}
    assert not is_due(found, NODE)
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_due(found, NODE)  # it says nothing of a node
