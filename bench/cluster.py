"""`dockyard up`: how long until the node is Ready, and what an idle cluster costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from pathlib import Path

import place
from cli import OURS, image_tar
from docker import processes_of
from measure import milliseconds, output, sample
from memory import memory
from netns import network
from rows import Row

ROUNDS = 9
SETTLE_SECONDS, IDLE_SECONDS = 15, 30
GOAL_READY, GOAL_MEMORY = 3.0, 220.0
ADDRESS, GATEWAY = "192.0.2.10/24", "192.0.2.1"
"""RFC 5737: the node's address in a network of its own."""


def run() -> list[Row]:
    """Up and down again, on new data and on the same; then one that nobody uses."""
    with place.folder() as base, network(), image_tar(base) as image:
        _give_address()
        fresh = [_up_once(base / f"fresh{number}", image) for number in range(ROUNDS)]
        again = [_up_once(base / "fresh0", None) for _ in range(ROUNDS)]
        rows = [_ready("new data", fresh), _ready("data of before", again)]
        rows += _idle(base / "fresh0")
        for number in range(ROUNDS):
            _dockyard(base / f"fresh{number}", "down", "--purge")
    return rows


def _dockyard(root: Path, *words: str) -> str:
    return output(OURS, *words, env={"DOCKYARD_ROOT": str(root)})


def _give_address() -> None:
    for words in (
        "link add dybench0 type veth peer name dybench1",
        "link set dybench1 up",
        f"addr add {ADDRESS} dev dybench0",
        "link set dybench0 up",
        f"route add default via {GATEWAY}",
    ):
        subprocess.run(["ip", *words.split()], check=True)


def _up_once(root: Path, image: Path | None) -> float:
    """Seconds until `up` returns, which it does when the node is Ready."""
    if image:
        _dockyard(root, "image", "import", str(image), "dybench")
    took = milliseconds(lambda: _dockyard(root, "up")) / 1000
    _dockyard(root, "down")
    return took


def _ready(which: str, seconds: list[float]) -> Row:
    found = sample(seconds)
    return Row(f"`dockyard up` to node Ready, images present, {which}", found.median, None, None,
               GOAL_READY, "s", noise=found.spread)  # fmt: skip


def _idle(root: Path) -> list[Row]:
    _dockyard(root, "up")
    try:
        time.sleep(SETTLE_SECONDS)
        status = json.loads(_dockyard(root, "status", "--output", "json"))
        pids = sorted({
            pid for first in status["processes"].values() for pid in processes_of(first)
        })  # fmt: skip
        before = sum(map(_processor_seconds, pids))
        time.sleep(IDLE_SECONDS)
        busy = (sum(map(_processor_seconds, pids)) - before) / IDLE_SECONDS * 100
        sizes = {pid: memory(pid) for pid in pids}
    finally:
        _dockyard(root, "down")
    names = {pid: name for name, pid in status["processes"].items()}
    parts = ", ".join(
        f"{names.get(pid, 'launchpad')} {found.pss:.0f} MB" for pid, found in sizes.items()
    )
    total = sum(found.pss for found in sizes.values())
    private = statistics.fsum(found.private for found in sizes.values())
    return [
        Row(f"memory of everything, idle: PSS of {len(pids)} processes", total, None, None,
            GOAL_MEMORY, "MB", profile=f"{parts}; {private:.0f} MB of it private"),
        Row("processor of everything, idle, of one core", busy, None, None, None, "%"),
    ]  # fmt: skip


def _processor_seconds(pid: int) -> float:
    """Of all its threads, by the scheduler's clock: ticks of 10 ms would miss short work."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
