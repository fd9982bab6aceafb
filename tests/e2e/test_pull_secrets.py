"""Pods whose images lie behind a password: the real kubectl, our cluster and our registry."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import own_registry
from helpers.cluster import Cluster

pytestmark = pytest.mark.root
NAME, PASSWORD = "alice", "wonder: land"


@pytest.fixture(scope="module")
def image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that only alice may have; the node has it no more."""
    folder = tmp_path_factory.mktemp("registry")
    made = subprocess.run(
        ["htpasswd", "-nbB", "-C", "4", NAME, PASSWORD], capture_output=True, text=True, check=True
    )
    (folder / "users").write_text(made.stdout)
    with own_registry.serve(folder / "data", "--htpasswd", str(folder / "users")) as registry:
        found = f"{registry.address}/team/app:1"
        cluster.dockyard("tag", "localhost/busybox:1", found)
        cluster.dockyard("push", "--creds", f"{NAME}:{PASSWORD}", found)
        yield found


def apply(cluster: Cluster, name: str, image: str, **spec: object) -> None:
    container = {"name": "main", "image": image, "command": ["sleep", "600"],
                 "imagePullPolicy": "Always"}  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
           "spec": {"terminationGracePeriodSeconds": 0, "containers": [container],
                    **spec}}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def secret(cluster: Cluster, name: str, server: str, password: str) -> None:
    cluster.kubectl("create", "secret", "docker-registry", name, f"--docker-server={server}",
                    f"--docker-username={NAME}", f"--docker-password={password}")  # fmt: skip


def describe(cluster: Cluster, name: str, words: str) -> str:
    """What kubectl tells of the pod, as soon as it tells this."""

    def told() -> str:
        text = cluster.kubectl("describe", "pod", name)
        return text if words in text else ""

    return str(cluster.eventually(told, f"describe says {words!r}"))


def test_without_the_secret_the_registrys_reason_is_shown(cluster: Cluster, image: str) -> None:
    apply(cluster, "stranger", image)
    said = describe(cluster, "stranger", "ErrImagePull")
    assert f'Failed to pull image "{image}": ' in said
    assert "401 UNAUTHORIZED: authentication required" in said
    assert "imagePullSecrets" in said  # what to do


def test_with_the_secret_it_runs(cluster: Cluster, image: str) -> None:
    secret(cluster, "right", image.partition("/")[0], PASSWORD)
    apply(cluster, "friend", image, imagePullSecrets=[{"name": "right"}])
    cluster.kubectl("wait", "--for=condition=Ready", "pod/friend", "--timeout=30s")


def test_a_wrong_password_and_a_secret_of_another_registry(cluster: Cluster, image: str) -> None:
    secret(cluster, "wrong", f"https://{image.partition('/')[0]}", "guessed")
    apply(cluster, "liar", image, imagePullSecrets=[{"name": "wrong"}])
    said = describe(cluster, "liar", "ErrImagePull")
    assert "UNAUTHORIZED" in said and "guessed" not in said
    secret(cluster, "elsewhere", "registry.example", PASSWORD)
    apply(cluster, "lost", image, imagePullSecrets=[{"name": "elsewhere"}, {"name": "missing"}])
    said = describe(cluster, "lost", "ErrImagePull")
    assert "FailedToRetrieveImagePullSecret" in said
    assert "Unable to retrieve some image pull secrets (missing)" in said


def test_the_service_accounts_secret_is_used(cluster: Cluster, image: str) -> None:
    secret(cluster, "account", image.rpartition(":")[0], PASSWORD)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"},
               "imagePullSecrets": [{"name": "account"}]}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(account))
    apply(cluster, "robot", image, serviceAccountName="robot")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/robot", "--timeout=30s")


def test_the_older_form_of_the_secret(cluster: Cluster, image: str, tmp_path: Path) -> None:
    server = image.partition("/")[0]
    value = {server: {"username": NAME, "password": PASSWORD}}
    (tmp_path / "cfg").write_text(json.dumps(value))
    cluster.kubectl("create", "secret", "generic", "older", "--type=kubernetes.io/dockercfg",
                    f"--from-file=.dockercfg={tmp_path / 'cfg'}")  # fmt: skip
    apply(cluster, "elder", image, imagePullSecrets=[{"name": "older"}])
    cluster.kubectl("wait", "--for=condition=Ready", "pod/elder", "--timeout=30s")


def test_a_secret_of_that_type_has_json_in_it(cluster: Cluster) -> None:
    said = cluster.kubectl.refused(
        "create", "secret", "generic", "broken", "--type=kubernetes.io/dockerconfigjson",
        "--from-literal=.dockerconfigjson=no json",
    )  # fmt: skip
    assert 'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>"' in said
