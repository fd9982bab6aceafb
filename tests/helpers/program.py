"""The `dockyard` program as a person uses it: on a data root of its own, or on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dockyard.base.aio.now import monotonic, pause
from helpers.console import Console

PROGRAM = [str(Path(sys.executable).parent / "dockyard")]


class Shell:
    """Runs the program on a data root of its own."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, str(tree)
        self.env = {**os.environ, "DOCKYARD_ROOT": str(root)}

    def __call__(self, *words: str, stdin: bytes = b"", check: bool = True) -> str:
        done = self.full(*words, stdin=stdin)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def full(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*PROGRAM, *words], input=stdin, capture_output=True, env=self.env,
                              timeout=60)  # fmt: skip

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.full("run", "--network", "none", "--rootfs", self.tree, *words, stdin=stdin)


class Terminal(Console):
    """The program on a terminal of its own."""

    def __init__(self, shell: Shell, *words: str) -> None:
        super().__init__([*PROGRAM, *words], shell.env)


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Look until it holds; fail when it does not by then."""
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline, "it has not come to hold"
        pause(0.02)


def parent_of(pid: int) -> int:
    """Of a container's first process: its monitor."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
