"""Containers of the runtime alone: a busybox root, docker's default specification, no engine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockyard.base.oci.defaultspec import default_spec
from dockyard.interfaces.ociruntime import Exit, Launch, Log, Overlay, StartFailed
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime, wait_for_monitor
from helpers import rootfs

ENV = ["PATH=/usr/bin:/bin", "HOME=/root"]


class Result(NamedTuple):
    """How a container or a command in it ended."""

    code: int
    out: str
    err: str


class Box:
    """One container."""

    def __init__(self, yard: Yard, launch: Launch) -> None:
        self.yard, self.launch = yard, launch
        self.runtime = yard.runtime
        self.run_dir, self.state_dir = launch.run_dir, launch.state_dir
        self.cgroup = launch.spec["linux"]["cgroupsPath"]
        self.pid = 0

    def create(self) -> Box:
        self.pid, _ = self.runtime.create(self.launch)
        return self

    def start(self) -> Box:
        self.create()
        self.runtime.start(self.run_dir)
        return self

    def run(self) -> Result:
        """From its making to its end, with its output."""
        self.pid, stream = self.runtime.create(self.launch, attach=True)
        assert stream is not None
        self.runtime.start(self.run_dir)
        return collect(stream)

    def exec(self, *args: str, **process: Any) -> Result:
        stdin = process.pop("stdin", None)
        document = {**self.launch.spec["process"], "args": list(args), **process}
        stream = self.runtime.exec(self.run_dir, document, stdin=stdin is not None)
        if stdin is not None:
            stream.write(stdin)
            stream.close_stdin()
        return collect(stream)

    def wait(self, seconds: float = 10) -> Exit:
        found = self.runtime.wait(self.run_dir, self.state_dir, seconds)
        assert found is not None, "it still runs"
        return found

    def delete(self) -> None:
        self.runtime.delete(self.run_dir, self.cgroup)

    def groups(self) -> list[str]:
        """Control groups of this container that its monitor leaves."""
        wait_for_monitor(self.run_dir)
        base = Path("/sys/fs/cgroup")
        return [str(found) for found in base.glob(f"*/{self.cgroup}")]

    @property
    def upper(self) -> Path:
        assert self.launch.rootfs is not None
        return Path(self.launch.rootfs.upper)


class Yard:
    """Makes containers below one folder and takes every one of them away again."""

    def __init__(self, folder: Path, lower: Path, runtime: LocalRuntime, instance: str) -> None:
        self.folder, self.lower, self.runtime, self.instance = folder, lower, runtime, instance
        self.boxes: list[Box] = []

    def box(
        self,
        *args: str,
        change: Callable[[dict[str, Any]], object] | None = None,
        lower: Path | None = None,
        log: Log | None = None,
        open_stdin: bool = False,
        **choices: Any,
    ) -> Box:
        name = f"c{len(self.boxes)}"
        place = self.folder / name
        for folder in ("upper", "work", "rootfs"):
            (place / folder).mkdir(parents=True)
        spec = default_spec(
            args=list(args),
            env=ENV,
            cwd="/",
            root=str(place / "rootfs"),
            cgroup=f"dockyard/{self.instance}/{name}",
            **choices,
        )
        if change is not None:
            change(spec)
        overlay = Overlay((str(lower or self.lower),), str(place / "upper"), str(place / "work"))
        launch = Launch(
            id=f"{self.instance}{name}",
            spec=spec,
            state_dir=str(place),
            run_dir=str(place / "run"),
            rootfs=overlay,
            log=log or Log(str(place / "log"), "json-file"),
            open_stdin=open_stdin,
        )
        box = Box(self, launch)
        self.boxes.append(box)
        return box

    def sh(self, text: str, **choices: Any) -> Box:
        return self.box("sh", "-c", text, **choices)


def collect(stream: Any) -> Result:
    """What a stream brings until its end."""
    parts = {1: b"", 2: b""}
    while (frame := stream.read()) is not None:
        parts[frame.stream] += frame.data
    code = stream.exit_code()
    stream.close()
    assert code is not None
    return Result(code, parts[1].decode(errors="replace"), parts[2].decode(errors="replace"))


def refused(box: Box) -> StartFailed:
    """The error of a container that must not start, at its making or at its start."""
    with pytest.raises(StartFailed) as caught:
        box.start()
    return caught.value


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
    instance = f"t{os.getpid() % 10000:04d}{secrets.token_hex(2)}"[:8]
    found = Yard(tmp_path, lower, LocalRuntime(launcher), instance)
    yield found
    left = []
    for box in found.boxes:
        box.delete()
        left += box.groups()
    assert left == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
