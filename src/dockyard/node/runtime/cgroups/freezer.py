"""Turns a group's path into stopped processes, and into running ones again."""

from __future__ import annotations

import os

from dockyard.base.aio.now import monotonic, pause
from dockyard.base.errors import NotFound, Unavailable, Unsupported
from dockyard.base.linux import cgroupfs
from dockyard.node.runtime.cgroups.light import says_frozen

FREEZE_SECONDS = 5.0
POLL_SECONDS = 0.001
TRIES_BEFORE_A_THAW = 50
"""Version 1 can hang half way when a process is forked meanwhile: then it is begun anew."""


def freeze(path: str) -> None:
    """Stop every process, and return when each has stopped. What cannot be stopped runs on."""
    layout = cgroupfs.layout()
    deadline = monotonic() + FREEZE_SECONDS
    tries = 0
    _write(path, True)
    while not _stopped(path):
        tries += 1
        if monotonic() > deadline:
            thaw(path)
            raise Unavailable(
                f"cgroup: {path}: its processes do not stop within {FREEZE_SECONDS:g} seconds; they"
                " run on"
            )
        if "freezer" in layout.v1 and tries % TRIES_BEFORE_A_THAW == 0:
            _write(path, False)
            _write(path, True)
        pause(POLL_SECONDS)


def thaw(path: str) -> None:
    """Let every process run again."""
    _write(path, False)


def is_frozen(path: str) -> bool:
    """Whether somebody has stopped the group."""
    return says_frozen(file_of(path))


def would_stop(path: str) -> bool:
    """Whether a process that comes into the group, there already or not, would be stopped."""
    layout = cgroupfs.layout()
    if "freezer" in layout.v1:
        root, name = layout.v1["freezer"], "freezer.state"
    else:
        root, name = layout.v2 or "", "cgroup.events"
    while path and not os.path.isdir(f"{root}/{path}"):
        path = path.rpartition("/")[0]
    said = cgroupfs.read(f"{root}/{path}/{name}") or ""
    return said.startswith("FR") or "frozen 1" in said


def file_of(path: str) -> str:
    """Which of the group's files says so."""
    layout = cgroupfs.layout()
    if "freezer" in layout.v1:
        return f"{layout.v1['freezer']}/{path}/freezer.state"
    return f"{layout.v2}/{path}/cgroup.freeze"


def _stopped(path: str) -> bool:
    layout = cgroupfs.layout()
    if "freezer" in layout.v1:
        state = cgroupfs.read(f"{layout.v1['freezer']}/{path}/freezer.state")
        return state is None or state.strip() == "FROZEN"
    events = cgroupfs.flat(f"{layout.v2}/{path}/cgroup.events")
    return events.get("frozen", 1) == 1


def _write(path: str, frozen: bool) -> None:
    layout = cgroupfs.layout()
    try:
        if "freezer" in layout.v1:
            file = f"{layout.v1['freezer']}/{path}/freezer.state"
            cgroupfs.write(file, "FROZEN" if frozen else "THAWED")
        elif layout.v2:
            cgroupfs.write(f"{layout.v2}/{path}/cgroup.freeze", "1" if frozen else "0")
        else:
            raise Unsupported("cgroup: no freezer is mounted: a container cannot be paused")
    except FileNotFoundError as error:
        raise NotFound(f"cgroup: {path}: there is no such container any more") from error
