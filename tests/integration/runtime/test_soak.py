"""A19, G12: what lasts. A flood that stays bounded, and many lives that leave nothing behind.

The suite takes a few seconds of each; for the full length say how much:

    DOCKYARD_FLOOD_SECONDS=600 DOCKYARD_SOAK_CYCLES=100000 pytest -k 'a19 or g12' .../test_soak.py
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockyard.base.aio.now import monotonic
from dockyard.base.linux import cgroupfs
from dockyard.interfaces.ociruntime import HealthCheck, Log
from dockyard.node.runtime import stream, wire
from dockyard.node.runtime.launcher import LaunchpadLauncher
from dockyard.node.runtime.local import LocalRuntime, wait_for_monitor
from helpers.program import eventually

from .conftest import Box, Yard
from .test_exhaustion import open_files, quiet_files
from .test_kills import monitor_of

pytestmark = pytest.mark.root

FLOOD_SECONDS = float(os.environ.get("DOCKYARD_FLOOD_SECONDS", "3"))
CYCLES = int(os.environ.get("DOCKYARD_SOAK_CYCLES", "40"))
WARM_UP = 10
MOST_KILOBYTES = 16 << 10
LOG_BYTES, LOG_FILES = 200_000, 3


def anonymous(pid: int) -> int:
    """Kilobytes of memory that are the process's own: proc(5), RssAnon."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def test_a19_every_flood_at_once_stays_bounded(yard: Yard, tmp_path: Path) -> None:
    """Output to the log, a health check's output, a command's that nobody reads, sizes of the
    terminal, and input that the program never takes, for as long as it is told to."""
    log = Log(str(tmp_path / "log"), "json-file", max_bytes=LOG_BYTES, max_files=LOG_FILES)

    def terminal(spec: dict[str, Any]) -> None:
        spec["process"]["terminal"] = True

    box = yard.sh("yes flood", log=log, open_stdin=True, change=terminal)
    process = {**box.launch.spec["process"], "terminal": False, "args": ["yes", "healthy"]}
    box.launch = box.launch._replace(health=HealthCheck(process, 0.1, 0.2, 1000, 0, 0))
    box.start()
    monitor, most = monitor_of(box), 0
    before = anonymous(monitor)
    unread = box.runtime.exec(box.run_dir, {**process, "args": ["yes"]}, stdin=False)
    peer = stream.connect(box.run_dir)
    stream.ask(peer, op="attach")
    peer.setblocking(False)
    piece = wire.frame(wire.STDIN, b"x" * 65536)
    sizes = stream.connect(box.run_dir)
    sent, received, number, deadline = 0, 0, 0, monotonic() + FLOOD_SECONDS
    while monotonic() < deadline:
        with suppress(BlockingIOError):
            sent += peer.send(piece[sent % len(piece) :])
        number += 1
        sizes.sendall(wire.control({"op": "resize", "rows": number % 500, "columns": 80}))
        with suppress(BlockingIOError):
            received += len(peer.recv(1 << 20))
        select.select([peer], [], [], 0.001)
        most = max(most, anonymous(monitor))
    assert most - before < MOST_KILOBYTES
    files = list(tmp_path.glob("log*"))
    assert sum(file.stat().st_size for file in files) <= LOG_BYTES * LOG_FILES
    assert len(files) == LOG_FILES
    assert received > 10 * LOG_BYTES, "it has flooded"
    assert Path(wire.health_path(box.state_dir)).stat().st_size < 64 << 10
    assert box.exec("echo", "here", terminal=False).out == "here\n", "others are served"
    for each in (peer, sizes):
        each.close()
    unread.signal(9)
    unread.close()


class Baseline(NamedTuple):
    """What a leak makes larger, one way or another."""

    pad_files: int
    monitor_files: int
    own_files: int
    children: int
    groups: int


def look(pad: int, box: Box) -> Baseline:
    groups = [found for root in cgroupfs.folders(box.cgroup.strip("/").rpartition("/")[0])
              for found in cgroupfs.subgroups(root)]  # fmt: skip
    children = Path(f"/proc/{pad}/task/{pad}/children").read_text().split()
    return Baseline(
        open_files(pad), quiet_files(monitor_of(box)), open_files(os.getpid()),
        len(children), len(groups),
    )  # fmt: skip


def test_g12_many_lives_leave_nothing_behind(yard: Yard, tmp_path: Path) -> None:
    """One launchpad and one long-lived container, beside which others come and go."""
    pad = LaunchpadLauncher(str(tmp_path / "cache"))
    yard.runtime = LocalRuntime(pad)
    stays = yard.sh("cat", open_stdin=True).start()
    passing = yard.sh("echo $A; exit 3")
    before, memory = None, (0, 0)
    for cycle in range(WARM_UP + CYCLES):
        if cycle == WARM_UP:
            before, memory = look(pad.pid, stays), weigh(pad.pid, stays)
        if cycle % 10 == 9:  # a making that fails
            broken = passing.launch.spec["process"]["args"]
            broken[0] = "/no/such/program"
            with pytest.raises(Exception, match="no such file"):
                passing.start()
            broken[0] = "sh"
        else:
            assert passing.run().code == 3
        passing.delete()
        wait_for_monitor(passing.run_dir)
        assert stays.exec("echo", "x").out == "x\n"
        attached = stays.runtime.attach(stays.run_dir)
        attached.write(b"line\n")
        assert attached.read() == (1, b"line\n")
        attached.close()
    assert before is not None
    eventually(lambda: look(pad.pid, stays) == before)
    grown = [now - then for now, then in zip(weigh(pad.pid, stays), memory, strict=True)]
    assert max(grown) < 1024 + CYCLES // 100, "kilobytes"
    pad.close()


def weigh(pad: int, box: Box) -> tuple[int, int]:
    return anonymous(pad), anonymous(monitor_of(box))
