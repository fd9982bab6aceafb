"""`examples/immutable`, as a user runs it: replaced, taken back, and nothing left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.leaks import left_behind

DEMO = Path(__file__).parents[2] / "examples" / "immutable" / "demo.py"
pytestmark = pytest.mark.root


def test_replaced_and_taken_back_under_load(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, DEMO, "--data-dir", data], capture_output=True, text=True, timeout=300
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert len(re.findall(r"^ ✓ ", done.stdout, re.MULTILINE)) == 11
    assert "✗" not in done.stdout
    found = re.search(r"(\d+) requests, by version 1: (\d+), by version 2: (\d+)", done.stdout)
    assert found is not None
    requests, first, second = map(int, found.groups())
    assert requests == first + second and first > 50 and second > 50
    assert "0 failed requests" in done.stdout
    assert done.stdout.count("nothing left") == 7
    assert left_behind(data) == []
    assert not data.exists()
