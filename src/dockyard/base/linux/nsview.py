"""Turns /proc into namespaces and the processes that live in them: namespaces(7)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
"""As /proc/PID/ns and lsns(8) name them."""
LARGEST_COMMAND = 4096


class Process(NamedTuple):
    """A process and where it lives."""

    pid: int
    uid: int
    command: str
    namespaces: dict[str, int]
    """Kind -> the namespace's number."""
    container: str
    """The word after the marker in its control group's path; empty: it is in no such group."""


class Namespace(NamedTuple):
    """A namespace; ``members`` by their pids, and never none."""

    kind: str
    inode: int
    members: tuple[Process, ...]


def processes(marker: str, proc: str = "/proc") -> Iterator[Process]:
    """Every process that this one may look at. One that ends meanwhile is left out."""
    for name in sorted(os.listdir(proc), key=lambda name: (len(name), name)):
        if not name.isdecimal():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            found = _process(f"{proc}/{name}", int(name), marker)
            if found.namespaces:
                yield found


def named(seen: Iterable[Process], inits: Mapping[int, str]) -> list[Process]:
    """The processes, those too that no control group tells of: an ordinary user's containers have
    none. ``inits``: first process -> container. Its pid namespace is whose the others are in."""
    found = list(seen)
    mine = next((p.namespaces.get("pid") for p in found if p.pid == os.getpid()), None)
    spaces = {
        process.namespaces["pid"]: inits[process.pid]
        for process in found
        if process.pid in inits and process.namespaces.get("pid") not in (None, mine)
    }
    return [
        process
        if process.container
        else process._replace(
            container=inits.get(process.pid) or spaces.get(process.namespaces.get("pid", 0), "")
        )
        for process in found
    ]


def _process(folder: str, pid: int, marker: str) -> Process:
    spaces = {}
    for kind in KINDS:
        with contextlib.suppress(FileNotFoundError):  # a kernel without this kind
            spaces[kind] = _number(os.readlink(f"{folder}/ns/{kind}"))
    return Process(
        pid=pid,
        uid=os.stat(folder).st_uid,
        command=_command(folder),
        namespaces=spaces,
        container=_container(folder, marker),
    )


def _number(link: str) -> int:
    """Of ``mnt:[4026531841]``."""
    return int(link.partition("[")[2].rstrip("]"))


def _command(folder: str) -> str:
    """Its arguments; a kernel's own thread and a process that has ended have a name only."""
    with open(f"{folder}/cmdline", "rb") as file:
        words = file.read(LARGEST_COMMAND).rstrip(b"\0").replace(b"\0", b" ")
    if not words:
        with open(f"{folder}/comm", "rb") as file:
            words = file.read().rstrip(b"\n")
    return os.fsdecode(words)


def _container(folder: str, marker: str) -> str:
    with open(f"{folder}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, found, rest = line.partition(marker)
            if found:
                return rest.rstrip("\n").partition("/")[0]
    return ""


def group_up(seen: Iterable[Process], kinds: Iterable[str]) -> list[Namespace]:
    """The namespaces of these kinds, in the order of kinds and then of their numbers."""
    members: dict[tuple[str, int], list[Process]] = {}
    wanted = tuple(kinds)
    for process in seen:
        for kind in wanted:
            if kind in process.namespaces:
                members.setdefault((kind, process.namespaces[kind]), []).append(process)
    order = sorted(members, key=lambda key: (wanted.index(key[0]), key[1]))
    return [Namespace(kind, number, tuple(members[kind, number])) for kind, number in order]
