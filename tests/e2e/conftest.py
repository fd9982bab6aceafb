"""What several of these files need: a cluster that is up, with an image in it, or the program on a
data root of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.node.network.bridges import BridgeNetworks
from helpers import leaks, rootfs
from helpers.cluster import Cluster
from helpers.kubectl import Kubectl, Server
from helpers.program import Shell, eventually


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rootfs.make(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def shell(tmp_path: Path, tree: Path) -> Iterator[Shell]:
    """Nothing of what it makes is left afterwards."""
    found = Shell(tmp_path / "data", tree)
    yield found
    if left := found("ps", "-aq").split():
        found("rm", "-fv", *left)
    BridgeNetworks(str(found.root)).teardown()
    with contextlib.suppress(AssertionError):  # processes take a moment to end
        eventually(lambda: leaks.left_behind(found.root) == [], 5.0)
    assert leaks.left_behind(found.root) == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Up, with the image ``localhost/busybox:1``; nothing of it is left afterwards."""
    found = Cluster(tmp_path_factory.mktemp("cluster") / "data", tmp_path_factory.mktemp("home"))
    try:
        found.dockyard("image", "bootstrap", "busybox", "-t", "localhost/busybox:1")
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`dockyard server`, of this file alone; it ends clean."""
    found = Server(tmp_path_factory.mktemp("root"))
    yield found
    assert found.stop() == 0


@pytest.fixture(scope="module")
def kubectl(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The real kubectl, its cache and home a folder of its own."""
    return Kubectl(server.kubeconfig, tmp_path_factory.mktemp("home"))
