"""What it costs in memory to look after a container that runs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import place
from cli import Dockyard, dockyard, image_tar
from docker import Docker, dockerd, processes_of
from netns import network
from rows import Row

from dockyard.base.aio.now import monotonic, pause
from dockyard.boot.engine import build_engine
from dockyard.node.engine.config import ContainerConfig
from dockyard.node.engine.engine import Engine
from dockyard.node.runtime.launcher import LaunchpadLauncher

RUNNING = 100
SECONDS_UNTIL_SETTLED = 20.0
SHIMS = 5
GOAL_PRIVATE, GOAL_PSS, GOAL_SINGLE = 1.2, 1.5, 6.0
PARTS = (
    "private are 0.2 MB after a bare fork, 0.4 while it waits for its maker; the rest are pages "
    "that reference counts touch (Python 3.11 has no immortal objects)"
)
PARTS_OF_SINGLE = (
    "of one second after the start on: 2.5 MB are a Python that does nothing, 0.8 the monitor"
)


class Memory(NamedTuple):
    """Of one process, in MB (2**20), as the kernel counts it: proc(5), smaps_rollup."""

    private: float
    pss: float
    rss: float


def memory(pid: int) -> Memory:
    """What a process has."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        sizes[name] = int(value)
    private = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
    return Memory(private / 1024, sizes["Pss:"] / 1024, sizes["Rss:"] / 1024)


def median(found: list[Memory]) -> Memory:
    """Each figure's median."""
    return Memory(*(statistics.median(column) for column in zip(*found, strict=True)))


def parent(pid: int) -> int:
    """A container's monitor is the parent of its first process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def engine_with_launchpad(base: Path, image: Path) -> Iterator[tuple[Engine, Dockyard]]:
    """An engine as a daemon has it, its launchpad alive; no container is left in the end."""
    with dockyard(base, image) as command:
        launcher = LaunchpadLauncher(str(base / "dockyard" / "cache"))
        launcher.start()
        try:
            yield build_engine(base / "dockyard", launcher), command
        finally:
            launcher.close()


def sleeper(image: str = "dybench") -> ContainerConfig:
    """A container that does nothing, and ends when it is asked to."""
    return ContainerConfig(
        image=image, command=("/bin/sleep", "100000"), network="none", stop_signal="SIGKILL"
    )


def run() -> list[Row]:
    """Ours through the launchpad, ours from a command, docker's."""
    with place.folder() as base, network(), image_tar(base) as image:
        through = _through_launchpad(base, image)
        with dockerd(base) as docker, dockyard(base, image) as ours:
            docker("import", str(image), "dybench")
            (first, single), (shims, daemons) = _single(ours), _docker(docker)
    beside = f"{through.rss:.1f} MB resident; {PARTS}"
    which = f"a running container's monitor, {RUNNING} running, launchpad alive: "
    shim = "(peer: docker's shim)"
    return [
        Row(f"{which}private {shim}", through.private, shims.private, None, GOAL_PRIVATE, "MB",
            profile=beside),
        Row(f"{which}PSS {shim}", through.pss, shims.pss, None, GOAL_PSS, "MB"),
        Row(f"the monitor of a single `dockyard run -d`: PSS {shim}", single.pss, shims.pss, None,
            GOAL_SINGLE, "MB",
            profile=f"{single.private:.1f} MB private; {PARTS_OF_SINGLE}; {first.pss:.1f} before"),
        Row("daemons that have to run for it: PSS (peer: dockerd and containerd)", 0.0,
            daemons, None, None, "MB"),
    ]  # fmt: skip


def _through_launchpad(base: Path, image: Path) -> Memory:
    with engine_with_launchpad(base, image) as (engine, _):
        monitors = []
        for _ in range(RUNNING):
            container, _ = engine.run(sleeper())
            monitors.append(parent(engine.find(container.id).pid))
        return median([memory(pid) for pid in monitors])


def _single(ours: Dockyard) -> tuple[Memory, Memory]:
    """At once, and when it has executed itself anew."""
    name = ours("run", "-d", "--network", "none", "dybench", "/bin/sleep", "100000").strip()
    monitor = parent(int(ours("inspect", "--format", "{{.State.Pid}}", name)))
    before, deadline = memory(monitor), monotonic() + SECONDS_UNTIL_SETTLED
    while b"runtime.settled" not in Path(f"/proc/{monitor}/cmdline").read_bytes():
        if monotonic() > deadline:
            raise RuntimeError("the monitor of a single container has not become smaller")
        pause(0.05)
    ours("ps")  # it answers
    return before, memory(monitor)


def _docker(docker: Docker) -> tuple[Memory, float]:
    """(a shim, PSS of the daemons)"""
    names = [f"dybench-{os.getpid()}-{number}" for number in range(SHIMS)]
    for name in names:
        docker("run", "-d", "--network", "none", "--name", name, "dybench", "/bin/sleep", "100000")
    try:
        pids = [int(docker("inspect", "--format", "{{.State.Pid}}", name)) for name in names]
        shims = median([memory(parent(pid)) for pid in pids])
        return shims, sum(memory(pid).pss for pid in processes_of(docker.pid))
    finally:
        docker("rm", "-f", *names)
