"""Turns a running container into the list of its processes, as the machine's ``ps`` shows them."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from dockyard.base.errors import Conflict, DockyardError, Invalid, Unsupported
from dockyard.node.engine import refresh
from dockyard.node.engine.config import RESTARTING
from dockyard.node.engine.parts import Parts

PS_SECONDS = 20


class Processes(NamedTuple):
    """The heading, and a row for each process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def top(parts: Parts, reference: str, arguments: tuple[str, ...]) -> Processes:
    """``arguments`` are those of ps(1); its output must have a column PID."""
    container = refresh.find(parts, reference)
    if container.status == RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is "
                       "running")  # fmt: skip
    if not container.alive:
        raise Conflict(f"Container {container.id} is not running")
    pids = parts.runtime.processes(
        parts.places.cgroup(container.id, container.config.cgroup_parent)
    ) or _beside(container.pid)
    found = choose(_ps(arguments or ("-ef",)), frozenset(map(str, pids)))
    parts.tell(container, "top")
    return found


def _beside(init: int) -> list[int]:
    """Those in its pid namespace: an ordinary user's container may have no control group."""
    try:
        own = os.stat(f"/proc/{init}/ns/pid").st_ino
        if own == os.stat("/proc/self/ns/pid").st_ino:  # it was left out
            return [init]
    except OSError:
        return []
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):  # another user's, or it has ended
                if os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                    found.append(int(name))
    return found


def choose(output: str, pids: frozenset[str]) -> Processes:
    """The processes of a container among all that ps has printed. Pure."""
    lines = output.splitlines()
    titles = tuple(lines[0].split()) if lines else ()
    if "PID" not in titles:
        raise Invalid("Couldn't find PID field in ps output")
    column, last = titles.index("PID"), len(titles) - 1
    rows = []
    inside = False
    for line in lines[1:]:
        words = line.split()
        if len(words) <= column:
            continue
        # a thread's row (ps -m) has a dash, and follows its process
        inside = words[column] in pids or (words[column] == "-" and inside)
        if inside:
            rows.append((*words[:last], " ".join(words[last:])))
    return Processes(titles, tuple(rows))


def _ps(arguments: tuple[str, ...]) -> str:
    import subprocess

    try:
        done = subprocess.run(["ps", *arguments], capture_output=True, text=True, errors="replace",
                              timeout=PS_SECONDS, check=False)  # fmt: skip
    except FileNotFoundError:
        raise Unsupported("top: this machine has no ps; install procps") from None
    except subprocess.TimeoutExpired:
        raise DockyardError(f"top: ps {' '.join(arguments)}: no answer in {PS_SECONDS} s") from None
    if done.returncode:
        raise Invalid(f"ps: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout
