"""`events`: turns what happens to a container into one line of JSON each."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
from collections.abc import Iterator
from typing import Any

from dockyard.base.aio.now import monotonic
from dockyard.base.errors import Conflict, Invalid, NotFound, Unsupported
from dockyard.node.runtime.cgroups import oom
from dockyard.node.runtime.oci import state, stats
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Print statistics, once or again and again, and every out-of-memory, until it ends."""
    if values["interval"] <= 0:
        raise Invalid("duration interval must be greater than 0")
    made = state.load(found.root, arguments[0])
    if state.status(found.root, made) in ("stopped", "creating"):
        raise Conflict(f"container with id {made.id} is not running")
    if values["stats"]:
        _print(made, "stats")
    else:
        _follow(made, values["interval"])
    return 0


def _follow(made: state.Container, interval: float) -> None:
    with _Out(), _ended(made.pid) as ended, _out_of_memory(made.cgroup) as memory:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        if memory is not None:
            poll.register(memory, select.POLLIN)
        due = monotonic() + interval
        while True:
            happened = [one for one, _ in poll.poll(max(0.0, (due - monotonic()) * 1000))]
            if memory is not None and memory.fileno() in happened:
                said = memory.read()
                if oom.OOM in said:
                    _print(made, "oom")
                if oom.GONE in said:
                    poll.unregister(memory)
            if ended in happened:
                return
            if monotonic() >= due:
                due = monotonic() + interval
                _print(made, "stats")


class _Out:
    """Whoever has read enough closes the pipe: that is no error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, BrokenPipeError):
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it lives as long as the process
            return True
        return False


def _print(made: state.Container, kind: str) -> None:
    event: dict[str, Any] = {"type": kind, "id": made.id}
    if kind == "stats":
        event["data"] = stats.read(made.cgroup)
    print(json.dumps(event, separators=(",", ":")), flush=True)


@contextlib.contextmanager
def _ended(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _out_of_memory(path: str) -> Iterator[oom.Events | None]:
    """What becomes readable when memory has run out; None where nobody counts it."""
    with contextlib.ExitStack() as opened:
        try:
            events = opened.enter_context(oom.watch(path))
        except (Unsupported, NotFound):
            events = None
        yield events


VERB = Verb(
    summary="display container events such as OOM notifications, cpu, memory, and IO usage"
    " statistics",
    usage=ID,
    act=act,
    description="""Prints one JSON object a line: "stats" at each interval (5 seconds if
nothing else is said), and "oom" whenever the kernel has found no memory for the container. It ends
with the container.""",
    flags=(
        Flag(("interval",), "time between two statistics", "duration", 5.0, "5s"),
        Flag(("stats",), "display the container's stats then exit", "switch", False),
    ),
)
