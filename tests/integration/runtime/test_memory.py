"""What a monitor keeps for itself while its container runs: proc(5), smaps_rollup."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Yard
from .test_kills import monitor_of

pytestmark = pytest.mark.root

MOST_PRIVATE = 1.6
"""MB of one whose launchpad lives. The goal is 1.2, of a hundred (`bench/memory.py`); a few that
others have asked for much before share less."""


def private(pid: int) -> float:
    """In MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def test_a_launchpads_monitor_keeps_little(yard: Yard) -> None:
    boxes = [yard.box("sleep", "60").start() for _ in range(4)]
    for box in boxes:
        assert box.runtime.state(box.run_dir).status == "running"
    assert private(monitor_of(boxes[1])) <= MOST_PRIVATE
