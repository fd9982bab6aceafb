"""`inspect` has every member that the real docker prints: templates and clients find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.node.engine.config import ContainerConfig, MountSpec, PortSpec
from helpers.fakes import Yard

MEMBERS = [
    line for line in Path(__file__).with_name("inspect-members.txt").read_text().splitlines()
    if not line.startswith("#")
]  # fmt: skip


def find(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name.removesuffix("[]")]
        if name.endswith("[]"):
            value = value[0]
    return value


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    yard = Yard(tmp_path)
    made = yard.engine.create(
        ContainerConfig(
            rootfs=yard.root, command=("sleep", "100"), network="none", labels=(("a", "b"),),
            env=("A=1",), mounts=(MountSpec("volume", "data", "/data"),
                                  MountSpec("volume", "", "/anonymous"),
                                  MountSpec("tmpfs", "", "/t")),
        ),
        name="web",
    )  # fmt: skip
    yard.engine.start(made.id)
    return yard.engine.inspect(made.id)


@pytest.mark.parametrize("path", MEMBERS)
def test_every_member_of_docker_is_there(document: dict[str, Any], path: str) -> None:
    find(document, path)


def test_what_the_members_say(document: dict[str, Any]) -> None:
    assert document["Name"] == "/web"
    assert (document["Path"], document["Args"]) == ("sleep", ["100"])
    assert document["State"]["Pid"] == 4242
    assert document["HostConfig"]["Binds"] == ["data:/data"]
    assert document["HostConfig"]["Tmpfs"] == {"/t": ""}
    assert [each["Destination"] for each in document["Mounts"]] == ["/data", "/anonymous"]
    assert document["Config"]["Volumes"] == {"/anonymous": {}}
    assert document["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"


def test_ports_that_are_published_and_those_that_are_only_exposed(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    made = yard.engine.create(
        ContainerConfig(rootfs=yard.root, command=("x",), exposed=("81/tcp",),
                        ports=(PortSpec(80, "tcp", "0.0.0.0", 0),))
    )  # fmt: skip
    yard.engine.start(made.id)
    found = yard.engine.inspect(made.id)
    assert found["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]
    }
    assert found["NetworkSettings"]["Ports"] == {
        "81/tcp": None, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}],
    }  # fmt: skip
    assert found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == "10.9.0.2"
