"""Turns two ways to do the same into medians, by turns: what disturbs one disturbs the other."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rows import Row

Timed = Callable[[], float]
"""Does the thing once; returns what it took, in milliseconds."""
BAD_START = 2
"""Rounds before anything counts: caches fill."""


class Sample(NamedTuple):
    """What a series of one thing amounts to."""

    median: float
    spread: float
    """Interquartile range as a part of the median."""
    count: int
    fastest: float


def sample(values: Sequence[float]) -> Sample:
    """The median and how far the middle half of the values lies apart."""
    low, median, high = statistics.quantiles(values, n=4)
    return Sample(median, (high - low) / median, len(values), min(values))


def by_turns(ways: dict[str, Timed], rounds: int) -> dict[str, Sample]:
    """Every way once, then again: the medians of ``rounds``."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + BAD_START):
        for name, way in ways.items():
            took = way()
            if number >= BAD_START:
                found[name].append(took)
    return {name: sample(values) for name, values in found.items()}


def against(what: str, ours: Sample, peer: Sample, goal: float | None, profile: str = "") -> Row:
    """A row of milliseconds."""
    return Row(
        what, ours.median, peer.median, ours.median / peer.median, goal, "ms",
        noise=max(ours.spread, peer.spread), fastest=ours.fastest / peer.fastest, profile=profile,
    )  # fmt: skip


def milliseconds(act: Callable[[], object]) -> float:
    """What it takes to do it."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def process(*command: str, env: dict[str, str] | None = None, code: int = 0) -> Timed:
    """A whole process, from its start until it is reaped. Its output is dropped.

    ``posix_spawn`` costs the same from a small process and from a large one.
    """
    program = which(command[0])
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1)]
    chosen = {**os.environ, **(env or {})}

    def once() -> float:
        began = time.perf_counter()
        pid = os.posix_spawn(program, command, chosen, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        took = (time.perf_counter() - began) * 1000
        if os.waitstatus_to_exitcode(status) != code:
            raise RuntimeError(f"{' '.join(command)}: exit status {status >> 8}")
        return took

    return once


def which(program: str) -> str:
    """The file that a name stands for; Debian's own before anybody else's."""
    for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"):
        if "/" not in program and os.access(f"{folder}/{program}", os.X_OK):
            return f"{folder}/{program}"
    return program


def output(*command: str, env: dict[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [which(command[0]), *command[1:]], capture_output=True, text=True,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout
