"""`make demo`, as a user runs it: the whole way, and nothing left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.leaks import left_behind

DEMO = Path(__file__).parents[2] / "examples" / "shop" / "demo.py"
pytestmark = pytest.mark.root


def test_the_shop(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, DEMO, "--data-dir", data], capture_output=True, text=True, timeout=400
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert len(re.findall(r"^ ✓ ", done.stdout, re.MULTILINE)) == 13
    assert "✗" not in done.stdout
    found = re.search(r"(\d+) requests, (\d+)/s, .* by version 1: (\d+), by version 2: (\d+)",
                      done.stdout)  # fmt: skip
    assert found is not None
    requests, rate, first, second = map(int, found.groups())
    assert requests > 500 and rate >= 50 and first > 0 and second > 0
    assert "0 failed requests" in done.stdout
    assert done.stdout.count("nothing left") == 7
    assert left_behind(data) == []
