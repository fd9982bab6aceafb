"""The `dockyard` program on a data root of its own, its output as text; nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dockyard.base.aio.now import monotonic, pause
from dockyard.node.network.bridges import BridgeNetworks
from helpers import leaks
from helpers.console import Console
from helpers.program import PROGRAM, eventually

SECONDS = 150


class TextShell:
    """``shell("ps", "-a")``: its output; a failure fails the test."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.root, self.tree = root, str(tree)
        self.env = {**os.environ, "DOCKYARD_ROOT": str(root)}

    def __call__(self, *words: str) -> str:
        done = self.full(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def full(self, *words: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """All of what came of it. ``under``: a program that executes it, as strace does."""
        return subprocess.run([*under, *PROGRAM, *words], capture_output=True, text=True,
                              timeout=SECONDS, env=self.env,
                              stdin=subprocess.DEVNULL)  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A container without a network that is gone afterwards."""
        return self.full("run", "--rm", "--network", "none", "--rootfs", self.tree, *words)

    def until(self, text: str, *words: str, seconds: float = 60.0) -> str:
        """Ask again until the answer has the text."""
        deadline = monotonic() + seconds
        while text not in (said := self.full(*words).stdout):
            assert monotonic() < deadline, f"{text!r} not in {said!r}"
            pause(0.05)
        return said

    def console(self, *words: str, **variables: str) -> Console:
        """The same on a terminal."""
        return Console([*PROGRAM, *words], {**self.env, **variables})


def made(root: Path, tree: Path) -> Iterator[TextShell]:
    """For a fixture: what the test has made goes with it."""
    found = TextShell(root, tree)
    yield found
    if left := found("ps", "-aq").split():
        found("rm", "-fv", *left)
    BridgeNetworks(str(root)).teardown()
    with contextlib.suppress(AssertionError):  # processes take a moment to end
        eventually(lambda: leaks.left_behind(root) == [], 5.0)
    assert leaks.left_behind(root) == []
