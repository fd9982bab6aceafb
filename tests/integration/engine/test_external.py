"""Another runtime under the launchpad, as the daemon and the agent start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.boot.engine import build_engine
from dockyard.node.engine.config import ContainerConfig, HealthSpec
from dockyard.node.runtime.launcher import LaunchpadLauncher
from helpers import leaks, rootfs
from helpers.program import eventually

pytestmark = pytest.mark.root


def test_a_launchpad_forks_its_monitor(tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "tree")
    launcher = LaunchpadLauncher(str(tmp_path / "cache"))
    engine = build_engine(tmp_path / "data", launcher)
    config = ContainerConfig(
        rootfs=str(tree), command=("sh", "-c", "echo out; exec sleep 1000"), network="none",
        runtime="/usr/sbin/runc", health=HealthSpec(("CMD", "true"), interval=0.1),
    )  # fmt: skip
    try:
        made, _ = engine.run(config, name="web")
        eventually(lambda: [entry.text for entry in engine.logs("web")] == ["out\n"])
        eventually(lambda: engine.health("web") == "healthy")
        launcher.close()  # monitors live on
        assert engine.find("web").status == "running"
        engine.stop("web", 0)
        assert engine.find("web").exit_code == 137
        engine.remove("web")
        assert not (tmp_path / "data/containers" / made.id).exists()
    finally:
        for container in engine.list():
            engine.remove(container.id, force=True)
        launcher.close()
    eventually(lambda: leaks.left_behind(tmp_path / "data") == [])
