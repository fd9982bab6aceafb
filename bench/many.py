"""A thousand containers of `sleep`: whether the last starts as fast as the first, `ps`, the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import place
from cli import Dockyard, image_tar
from measure import BAD_START, by_turns, milliseconds
from memory import engine_with_launchpad, sleeper
from netns import network
from rows import Row

from dockyard.boot import leftovers
from dockyard.node.engine.engine import Engine

CONTAINERS = 1000
PROBES = 30
"""Starts that are compared: with nothing else running, and with all the others."""
AT_ONCE = 100
"""Names on one command line."""
GOAL_LAST, GOAL_PS = 1.3, 300.0


def run() -> list[Row]:
    """Start, list and stop them all."""
    with place.folder() as base, network(), image_tar(base) as image:
        with engine_with_launchpad(base, image) as (engine, command):
            before = _starts(engine)
            for _ in range(CONTAINERS):
                engine.run(sleeper())
            among = _starts(engine)
            listing = by_turns({"ps": command.timed("ps")}, 7)["ps"]
            seconds = milliseconds(lambda: _stop_all(command)) / 1000
            after = _starts(engine)
        left = _left(base / "dockyard")
    first = statistics.median([*before, *after])
    last = statistics.median(among)
    return [
        Row(f"start of the last of {CONTAINERS:,} containers (peer: of the first)", last, first,
            last / first, GOAL_LAST, "ms",
            profile=f"{PROBES} starts before, among and after the others: "
            f"{statistics.median(before):.1f}, {last:.1f}, {statistics.median(after):.1f} ms"),
        Row(f"`dockyard ps` of {CONTAINERS:,}", listing.median, None, None, GOAL_PS, "ms",
            noise=listing.spread, profile=command.profile("ps", "--last", "1")
            + " with no container; each of them is read as JSON and asks its monitor"),
        Row(f"stop and remove {CONTAINERS:,}, {AT_ONCE} a command", seconds, None, None, None, "s"),
        Row("of them left behind: mounts, links, cgroups, processes, namespaces",
            float(len(left)), None, None, 0.0, "things", profile=", ".join(left)),
    ]  # fmt: skip


def _starts(engine: Engine) -> list[float]:
    took = []
    for number in range(PROBES + BAD_START):
        began = time.perf_counter()
        container, _ = engine.run(sleeper())
        elapsed = (time.perf_counter() - began) * 1000
        engine.remove(container.id, force=True)
        if number >= BAD_START:
            took.append(elapsed)
    return took


def _stop_all(command: Dockyard) -> None:
    names = command("ps", "-q").split()
    for verb in ("stop", "rm"):
        for index in range(0, len(names), AT_ONCE):
            command(verb, *names[index : index + AT_ONCE])


def _left(root: Path) -> list[str]:
    nothing: Callable[[], list[str]] = list
    return [
        f"{found.name}: {thing}"
        for found in leftovers.look(root, nothing)
        if found.name != "files"
        for thing in found.ours
    ]
