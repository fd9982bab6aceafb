"""G11: who goes when a machine has no memory left. A control group with little memory stands for
the machine: the kernel chooses in it as it does in the whole (oom_badness, mm/oom_kill.c)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.linux import capabilities, cgroupfs, oomscore
from dockyard.node.runtime.cgroups import tree

from .conftest import Box, Yard
from .test_kills import monitor_of

pytestmark = pytest.mark.root

MEGABYTE = 1 << 20
ROOM = 96 * MEGABYTE
HOLD = "x=$(head -c 16m /dev/zero | tr '\\0' x); echo holds; while read line; do :; done; sleep 600"
EAT = "x=$(head -c 8m /dev/zero | tr '\\0' x); while :; do x=$x$x; done"


@pytest.fixture
def machine(yard: Yard) -> Iterator[str]:
    """The path of a group without much memory, and without swap where that is counted."""
    path = f"dockyard/{yard.instance}/machine"
    layout = cgroupfs.layout()
    if layout.pure:
        tree.make_v2(path)
    else:
        tree.make_v1(layout.v1["memory"], path)
    folder = Path(cgroupfs.folder("memory", path))
    if layout.pure:
        (folder / "memory.max").write_text(str(ROOM))
        (folder / "memory.swap.max").write_text("0")
    else:
        (folder / "memory.limit_in_bytes").write_text(str(ROOM))
        (folder / "memory.swappiness").write_text("0")
    yield path
    for box in yard.boxes:
        box.delete()
    tree.remove(path, 5.0)


def boxed(yard: Yard, machine: str, text: str, score: int) -> Box:
    def change(spec: dict[str, object]) -> None:
        linux, process = spec["linux"], spec["process"]
        assert isinstance(linux, dict) and isinstance(process, dict)
        linux["cgroupsPath"] = f"{machine}/{Path(linux['cgroupsPath']).name}"
        process["oomScoreAdj"] = score

    return yard.sh(text, change=change)


def test_g11_a_node_without_memory_loses_who_matters_least(yard: Yard, machine: str) -> None:
    needed = boxed(yard, machine, HOLD, max(0, oomscore.of(os.getpid())) + 2).start()
    eats = boxed(yard, machine, EAT, 1000).start()
    monitors = [monitor_of(box) for box in (needed, eats)]
    tasks = Path(cgroupfs.folder("memory", machine), "cgroup.procs")
    if not cgroupfs.layout().pure:  # version 2 has no processes above groups
        for pid in monitors:
            tasks.write_text(str(pid))
    assert eats.wait(60).oom_killed
    assert needed.runtime.state(needed.run_dir).status == "running"
    assert needed.exec("echo", "here").out == "here\n"
    assert not (Path(needed.state_dir) / "exit.json").exists()


def test_g11_whoever_looks_after_a_container_goes_after_it(yard: Yard) -> None:
    """As dockerd and its shims. Where nothing may be lowered, no container is lowered either."""
    box = yard.sh("while :; do sleep 1; done").start()
    assert box.runtime.state(box.run_dir).status == "running"
    may = capabilities.effective() >> capabilities.NUMBERS["CAP_SYS_RESOURCE"] & 1
    own = oomscore.of(os.getpid())
    assert oomscore.of(monitor_of(box)) == (min(own, oomscore.MONITOR) if may else own)
    assert oomscore.of(box.pid) == max(own, 0)
    assert int(box.exec("cat", "/proc/self/oom_score_adj").out) == max(own, 0)
