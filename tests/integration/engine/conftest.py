"""Engines on the real rooms below them, with busybox roots; every test leaves the machine clean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.errors import DockyardError
from dockyard.boot.engine import build_engine
from dockyard.node.engine.config import Container, ContainerConfig
from dockyard.node.engine.engine import Engine
from dockyard.node.engine.processes import Command
from dockyard.node.network.bridges import BridgeNetworks
from dockyard.node.runtime.launcher import LaunchpadLauncher
from helpers import leaks, rootfs


class Yard:
    """An engine and shortcuts to what tests do with it."""

    def __init__(self, root: Path, lower: Path, launcher: LaunchpadLauncher) -> None:
        self.root, self.lower, self._launcher = root, lower, launcher
        self.engine = self.another()

    def another(self) -> Engine:
        """A further engine on the same data."""
        return build_engine(self.root, self._launcher)

    def config(self, *args: str, **more: object) -> ContainerConfig:
        config = ContainerConfig(rootfs=str(self.lower), command=args, network="none")
        return config._replace(**more)  # type: ignore[arg-type]

    def make(self, *args: str, name: str = "", **more: object) -> Container:
        return self.engine.create(self.config(*args, **more), name=name)

    def start(self, *args: str, name: str = "", **more: object) -> Container:
        made = self.make(*args, name=name, **more)
        self.engine.start(made.id)
        return self.engine.find(made.id)

    def run(self, *args: str, **more: object) -> tuple[int, str]:
        """A container from its making to its removal: exit code, and all that it printed."""
        made = self.make(*args, **more)
        try:
            return collect(self.engine.start(made.id, attach=True))
        finally:
            self.engine.remove(made.id, force=True, volumes=True)

    def sh(self, text: str, **more: object) -> tuple[int, str]:
        return self.run("sh", "-c", text, **more)

    def exec(self, container: Container, *args: str, **more: object) -> tuple[int, str]:
        return collect(self.engine.exec(container.id, Command(args, **more)))  # type: ignore[arg-type]


def collect(stream: object) -> tuple[int, str]:
    """What a stream brings until its end."""
    text = b""
    while (frame := stream.read()) is not None:  # type: ignore[attr-defined]
        text += frame.data
    code = stream.exit_code()  # type: ignore[attr-defined]
    stream.close()  # type: ignore[attr-defined]
    return code, text.decode(errors="replace")


@pytest.fixture(scope="session")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rootfs.make(tmp_path_factory.mktemp("lower"))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchpadLauncher]:
    pad = LaunchpadLauncher(str(tmp_path_factory.mktemp("cache")))
    pad.start()
    yield pad
    pad.close()


@pytest.fixture
def yard(tmp_path: Path, lower: Path, launcher: LaunchpadLauncher) -> Iterator[Yard]:
    found = Yard(tmp_path / "data", lower, launcher)
    yield found
    for each in found.engine.list():
        with contextlib.suppress(DockyardError):
            found.engine.remove(each.id, force=True, volumes=True)
    if (tmp_path / "data/node.db").exists():
        BridgeNetworks(str(tmp_path / "data")).teardown()
    assert leaks.left_behind(tmp_path / "data") == []
