"""A verb's modules in one file: written at its first start, found at the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dockyard.cli import main

SCRIPT = """
import sys
from dockyard.cli import packed
packed.begin("verb", sys.argv[1])
packed.begin("other", sys.argv[1])
import dockyard.cli.psfilters
print(type(dockyard.cli.psfilters.__spec__.loader).__name__)
packed.end()
"""


def loader(folder: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_second_start_finds_them_at_once(tmp_path: Path) -> None:
    assert loader(tmp_path) == "SourceFileLoader"
    assert [path.name for path in tmp_path.iterdir()] == ["verb.pack"]
    assert loader(tmp_path) == "Pack"


def test_packed_verbs_are_verbs() -> None:
    assert set(main.PACKED) <= set(main.VERBS)
