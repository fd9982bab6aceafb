"""What keeps a container from running, in the whole kubelet: images, names, volumes, programs."""

from pathlib import Path

import pytest

from dockyard.cluster.client.resources import CONFIG_MAPS, PODS
from dockyard.interfaces import cri
from helpers.kubelets import Place, with_kubelet


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    why = "docker.io/library/nope:1: the registry has no such tag"

    async def test(place: Place) -> None:
        place.cri.registry["nope:1"] = cri.PullFailed(why)
        await place.create(containers=[{"name": "c", "image": "nope:1"}])
        assert await place.waits() == ("ErrImagePull", why)
        assert (await place.status())["phase"] == "Pending"
        assert await place.events() == [
            ("Normal", "Pulling", 'Pulling image "nope:1"'),
            ("Warning", "Failed", f'Failed to pull image "nope:1": {why}'),
            ("Warning", "Failed", "Error: ErrImagePull"),
        ]
        await place.client.patch(PODS, "web", {"metadata": {"labels": {"x": "y"}}}, "default")
        await place.clock.settle()  # looked at before its time
        assert await place.waits() == (
            "ImagePullBackOff", f'Back-off pulling image "nope:1": ErrImagePull: {why}',
        )  # fmt: skip
        assert (await place.events())[3:] == [
            ("Normal", "BackOff", 'Back-off pulling image "nope:1"'),
            ("Warning", "Failed", "Error: ImagePullBackOff"),
        ]
        assert place.cri.pulls == ["nope:1"]
        await place.clock.advance(10)
        assert place.cri.pulls == ["nope:1"] * 2
        await place.clock.advance(19)
        assert len(place.cri.pulls) == 2  # the pause is 20 s now
        place.cri.registry["nope:1"] = cri.Image("sha256:1", ("nope:1",), (), 12, "")
        await place.clock.advance(1)
        assert place.cri.running() == ["c/0"]
        assert ("Normal", "Pulled",
                'Successfully pulled image "nope:1" in 0s (0s including waiting). '
                "Image size: 12 bytes.") in await place.events()  # fmt: skip

    with_kubelet(tmp_path, test)


def test_an_image_that_the_policy_refuses(tmp_path: Path) -> None:
    """Reason and wording of the kubelet's image manager for the CRI's SignatureValidationFailed."""
    why = "image x:1: refused by /etc/containers/policy.json (default): it has no signature"

    async def test(place: Place) -> None:
        place.cri.registry["x:1"] = cri.SignatureRefused(why)
        await place.create(containers=[{"name": "c", "image": "x:1"}])
        told = f"image pull failed for x:1 because the signature validation failed: {why}"
        assert await place.waits() == ("SignatureValidationFailed", told)
        assert (await place.events())[1:] == [
            ("Warning", "Failed", f'Failed to pull image "x:1": SignatureValidationFailed: {why}'),
            ("Warning", "Failed", "Error: SignatureValidationFailed"),
        ]
        await place.client.patch(PODS, "web", {"metadata": {"labels": {"x": "y"}}}, "default")
        await place.clock.settle()
        assert await place.waits() == (
            "ImagePullBackOff", f'Back-off pulling image "x:1": SignatureValidationFailed: {told}',
        )  # fmt: skip

    with_kubelet(tmp_path, test)


@pytest.mark.parametrize(
    ("image", "policy", "reason", "message", "event"),
    [
        ("nope", "Never", "ErrImageNeverPull",
         'Container image "nope" is not present with pull policy of Never', "ErrImageNeverPull"),
        ("No!", "IfNotPresent", "InvalidImageName",
         'Failed to apply default image tag "No!": couldn\'t parse image name "No!": '
         "invalid reference format", "InspectFailed"),
    ],
)  # fmt: skip
def test_images_that_are_never_pulled(
    tmp_path: Path, image: str, policy: str, reason: str, message: str, event: str
) -> None:
    async def test(place: Place) -> None:
        if image == "No!":
            place.cri.failing["image"] = cri.InvalidImageName("invalid reference format")
        await place.create(containers=[{"name": "c", "image": image, "imagePullPolicy": policy}])
        assert await place.waits() == (reason, message)
        assert place.cri.pulls == []
        assert await place.events() == [
            ("Warning", event, message), ("Warning", "Failed", f"Error: {reason}"),
        ]  # fmt: skip

    with_kubelet(tmp_path, test)


def test_policy_always_asks_the_registry_each_time(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.registry["nginx:1"] = place.cri.images["nginx:1"]
        container = {"name": "c", "image": "nginx:1", "imagePullPolicy": "Always"}
        await place.create(containers=[container])
        place.cri.exit("c", 0)
        await place.clock.settle()
        assert place.cri.running() == ["c/1"]
        assert place.cri.pulls == ["nginx:1", "nginx:1"]

    with_kubelet(tmp_path, test)


def test_a_pod_that_is_deleted_in_the_middle_of_a_pull(tmp_path: Path) -> None:
    """G17: what hangs holds up nobody else, and not its own end."""

    async def test(place: Place) -> None:
        place.cri.pull_seconds["slow"] = 3600
        place.cri.registry["slow"] = cri.Image("sha256:2", ("slow",), (), 1, "")
        await place.create(containers=[{"name": "c", "image": "slow"}])
        await place.create("other")
        assert (await place.status("other"))["phase"] == "Running"
        await place.delete()
        assert await place.is_gone()
        assert len(place.cri.sandboxes) == 1

    with_kubelet(tmp_path, test)


def test_a_config_map_that_comes_late(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        source = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
        container = {"name": "c", "image": "nginx:1",
                     "env": [{"name": "COLOUR", "valueFrom": source}]}  # fmt: skip
        await place.create(containers=[container])
        assert await place.waits() == (
            "CreateContainerConfigError",
            'configmap "settings" not found',
        )
        assert ("Warning", "Failed", 'Error: configmap "settings" not found'
                ) in await place.events()  # fmt: skip
        settings = {"metadata": {"name": "settings", "namespace": "default"},
                    "data": {"size": "1"}}  # fmt: skip
        await place.client.create(CONFIG_MAPS, settings)
        await place.clock.advance(10)
        assert await place.waits() == (
            "CreateContainerConfigError",
            "couldn't find key colour in ConfigMap default/settings",
        )
        await place.client.patch(CONFIG_MAPS, "settings", {"data": {"colour": "red"}}, "default")
        await place.clock.advance(10)
        assert place.cri.running() == ["c/0"]
        assert ("COLOUR", "red") in place.cri.configs[place.cri.newest("c").id].envs

    with_kubelet(tmp_path, test)


def test_a_volume_that_comes_late_and_then_changes(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        container = {"name": "c", "image": "nginx:1",
                     "volumeMounts": [{"name": "v", "mountPath": "/etc/v"}]}  # fmt: skip
        volumes = [{"name": "v", "configMap": {"name": "settings"}}]
        pod = await place.create(containers=[container], volumes=volumes)
        assert await place.waits() == ("ContainerCreating", "")
        assert ("Warning", "FailedMount",
                'MountVolume.SetUp failed for volume "v" : configmap "settings" not found',
                ) in await place.events()  # fmt: skip
        assert place.cri.calls == []
        settings = {"metadata": {"name": "settings", "namespace": "default"},
                    "data": {"colour": "red"}}  # fmt: skip
        await place.client.create(CONFIG_MAPS, settings)
        await place.clock.advance(2)
        assert place.cri.running() == ["c/0"]
        mount = place.cri.configs[place.cri.newest("c").id].mounts[0]
        assert (mount.container_path, mount.readonly) == ("/etc/v", True)
        path = Path(mount.host_path) / "colour"
        assert path.read_text() == "red"
        await place.client.patch(CONFIG_MAPS, "settings", {"data": {"colour": "blue"}}, "default")
        await place.clock.advance(61)
        assert path.read_text() == "blue"
        assert place.cri.running() == ["c/0"]
        await place.delete()
        assert not (place.pods_folder / "volumes" / pod["metadata"]["uid"]).exists()

    with_kubelet(tmp_path, test)


def test_a_program_that_is_not_in_the_image(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.failing["start"] = cri.StartFailed("exec: /nope: no such file or directory", 127)
        await place.create()
        await place.clock.settle()
        status = (await place.status())["containerStatuses"][0]
        assert status["lastState"]["terminated"]["exitCode"] == 127
        assert status["lastState"]["terminated"]["reason"] == "StartError"
        assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert ("Warning", "Failed", "Error: exec: /nope: no such file or directory"
                ) in await place.events()  # fmt: skip
        del place.cri.failing["start"]
        await place.clock.advance(10)
        assert place.cri.running() == ["c/2"]

    with_kubelet(tmp_path, test)


def test_a_container_that_cannot_be_made(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.failing["create"] = cri.CreateFailed("mount: /x: no such file")
        await place.create()
        assert await place.waits() == ("CreateContainerError", "mount: /x: no such file")
        del place.cri.failing["create"]
        await place.clock.advance(10)
        assert place.cri.running() == ["c/0"]

    with_kubelet(tmp_path, test)


def test_a_new_image_restarts_its_container_at_once(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        place.cri.have("nginx:2")
        await place.create()
        for _ in range(2):
            place.cri.exit("c", 1)
            await place.clock.settle()
        assert (await place.waits())[0] == "CrashLoopBackOff"
        patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:2"}]
        await place.client.patch(PODS, "web", patch, "default")
        await place.clock.settle()
        assert place.cri.running() == ["c/2"]
        patch[0]["value"] = "nginx:1"
        await place.clock.advance(60)  # the old image's back-off is over
        await place.client.patch(PODS, "web", patch, "default")
        await place.clock.settle()
        assert place.cri.running() == ["c/3"]
        assert place.cri.newest("c").image == "nginx:1"
        assert ("Normal", "Killing", "Container c definition changed, will be restarted"
                ) in await place.events()  # fmt: skip

    with_kubelet(tmp_path, test)


def test_pods_that_this_node_refuses(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create(os={"name": "windows"})
        status = await place.status()
        assert (status["phase"], status["reason"]) == ("Failed", "PodOSNotSupported")
        assert status["message"].startswith("Pod was rejected: ")
        assert "windows" in status["message"]
        asks = {"requests": {"memory": "100Ti"}}
        await place.create("big", containers=[{"name": "c", "image": "nginx:1", "resources": asks}])
        status = await place.status("big")
        assert (status["phase"], status["reason"]) == ("Failed", "OutOfmemory")
        assert status["message"].startswith(
            "Pod was rejected: Node didn't have enough resource: memory, "
            f"requested: {100 * 1024**4}, used: 0, capacity: "
        )
        port = {"containerPort": 80, "hostPort": 8080}
        container = {"name": "c", "image": "nginx:1", "ports": [port]}
        await place.create("first", containers=[container])
        await place.create("second", containers=[container])
        assert (await place.status("first"))["phase"] == "Running"
        status = await place.status("second")
        assert (status["reason"], status["message"]) == (
            "NodePorts", "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free "
            "ports for the requested pod ports",
        )  # fmt: skip
        await place.delete("first")
        await place.create("third", containers=[container])
        assert (await place.status("third"))["phase"] == "Running"
        await place.delete("second")
        assert await place.is_gone("second")

    with_kubelet(tmp_path, test)
