"""Turns a data root into the list of what the machine still holds of it.

``dockyard down --purge`` ends with this look at the machine, and the tests use the same one: seven
places, each read from the kernel, none from our own records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dockyard.base.linux import cgroupfs, mounttable
from dockyard.base.oci.instance import RUN_ROOT, instance_id


@dataclass(frozen=True, slots=True)
class Place:
    """One place that was looked at: where, how many things it holds, and which of them are ours."""

    name: str
    where: str
    seen: int
    ours: tuple[str, ...]


def look(data_root: Path, nft_tables: Callable[[], Iterable[str]]) -> list[Place]:
    """Everything on this machine that belongs to the data root's instance.

    ``nft_tables`` lists the names of all nftables tables.
    """
    instance = instance_id(data_root)
    roots = (os.path.realpath(data_root), f"{RUN_ROOT}/{instance}")
    return [
        _mounts(roots),
        _links(instance),
        _tables(instance, list(nft_tables())),
        _cgroups(instance),
        _processes(roots, instance),
        _namespaces(roots),
        _files(roots),
    ]


def _under(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root + "/") for root in roots)


def _mounts(roots: tuple[str, ...]) -> Place:
    points = [row.point for row in mounttable.read()]
    ours = tuple(point for point in points if _under(point, roots))
    return Place("mounts", "/proc/self/mountinfo", len(points), ours)


def _links(instance: str) -> Place:
    names = sorted(os.listdir("/sys/class/net"))
    ours = tuple(name for name in names if _is_ours(name, instance))
    return Place("links", "/sys/class/net", len(names), ours)


def _is_ours(link: str, instance: str) -> bool:
    if link.startswith(f"dy{instance}"):
        return True
    try:
        alias = Path(f"/sys/class/net/{link}/ifalias").read_text()
    except OSError:  # the link went away meanwhile
        return False
    return f"dockyard {instance}" in alias


def _tables(instance: str, tables: list[str]) -> Place:
    ours = tuple(table for table in tables if f"dockyard_{instance}" in table)
    return Place("nft tables", "nft list tables", len(tables), ours)


def _cgroups(instance: str) -> Place:
    groups = cgroupfs.folders(f"dockyard/{instance}")
    ours = tuple(group for group in groups if os.path.isdir(group))
    return Place("cgroups", "/sys/fs/cgroup/*/dockyard", len(groups), ours)


def _processes(roots: tuple[str, ...], instance: str) -> Place:
    """Processes whose command line names the data root, or whose cgroup is the instance's."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    mine = {os.getpid(), os.getppid()}
    ours = []
    for pid in sorted(set(pids) - mine):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            cgroups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:  # it ended meanwhile
            continue
        named = any(_under(word.decode(errors="replace"), roots) for word in words)
        if f"/dockyard/{instance}" in cgroups or (named and b"dockyard" in b" ".join(words)):
            ours.append(f"{pid} {b' '.join(words).decode(errors='replace').strip()[:80]}")
    return Place("processes", "/proc/*/cmdline, /proc/*/cgroup", len(pids), tuple(ours))


def _namespaces(roots: tuple[str, ...]) -> Place:
    """Named network namespaces: those of `ip netns` and those pinned in our run directory."""
    names = [str(path) for path in Path("/run/netns").glob("*")]
    pinned = [str(path) for root in roots for path in Path(root).glob("netns/*")]
    return Place("namespaces", "/run/netns, run directory", len(names) + len(pinned), tuple(pinned))


def _files(roots: tuple[str, ...]) -> Place:
    ours = tuple(root for root in roots if os.path.lexists(root))
    return Place("files", ", ".join(roots), len(roots), ours)
