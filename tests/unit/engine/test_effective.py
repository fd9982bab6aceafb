"""A configuration and an image's, merged as Docker merges them (Engine API, ContainerCreate;
Dockerfile reference, "Understand how CMD and ENTRYPOINT interact")."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import Platform
from dockyard.node.engine.config import ContainerConfig, MountSpec, PortSpec
from dockyard.node.engine.effective import effective, exposed, program

IMAGE = ImageConfig(
    Platform("linux", "amd64"),
    env=("PATH=/bin", "A=image"),
    entrypoint=("/entry",),
    cmd=("serve",),
    user="app",
    working_dir="/srv",
    exposed_ports=("80/tcp", "53/udp"),
    volumes=("/data",),
    labels=(("a", "image"), ("b", "image")),
    stop_signal="SIGQUIT",
)


@pytest.mark.parametrize(
    ("entrypoint", "command", "args"),
    [
        (None, (), ("/entry", "serve")),
        (None, ("list",), ("/entry", "list")),
        (("/other",), (), ("/other",)),
        (("/other",), ("x",), ("/other", "x")),
        ((), ("x",), ("x",)),
    ],
)
def test_a_new_entrypoint_drops_the_images_command(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...], args: tuple[str, ...]
) -> None:
    config = ContainerConfig(entrypoint=entrypoint, command=command)
    assert program(effective(config, IMAGE)) == args


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(Invalid, match="no command"):
        program(effective(ContainerConfig(), None))
    with pytest.raises(Invalid, match="no command"):
        program(effective(ContainerConfig(entrypoint=()), IMAGE))


def test_what_the_caller_says_wins() -> None:
    config = ContainerConfig(
        env=("A=mine",), labels=(("a", "mine"),), user="0", workdir="/", stop_signal="SIGINT",
        mounts=(MountSpec("bind", "/host", "/data/"),),
    )  # fmt: skip
    found = effective(config, IMAGE)
    assert found.env == ("A=mine", "PATH=/bin")
    assert dict(found.labels) == {"a": "mine", "b": "image"}
    assert (found.user, found.workdir, found.stop_signal) == ("0", "/", "SIGINT")
    assert len(found.mounts) == 1, "a VOLUME that a mount covers makes no volume"


def test_what_nobody_says_is_the_images() -> None:
    found = effective(ContainerConfig(), IMAGE)
    assert (found.user, found.workdir, found.stop_signal) == ("app", "/srv", "SIGQUIT")
    assert found.mounts == (MountSpec("volume", "", "/data"),)
    assert found.exposed == ("80/tcp", "53/udp")


def test_publish_all_takes_free_ports_for_what_is_exposed() -> None:
    asked = PortSpec(80, "tcp", "127.0.0.1", 8080)
    found = effective(ContainerConfig(publish_all=True, ports=(asked,)), IMAGE)
    assert found.ports == (asked, PortSpec(53, "udp", "0.0.0.0", 0))


def test_exposed_ports_are_ranges() -> None:
    assert exposed("80") == ["80/tcp"]
    assert exposed("8000-8002/udp") == ["8000/udp", "8001/udp", "8002/udp"]
    assert exposed("80/sctp") == ["80/sctp"]
    for text in ("", "0", "65536", "9-8", "x"):
        with pytest.raises(Invalid):
            exposed(text)
