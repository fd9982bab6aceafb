"""Turns an ``emptyDir`` in memory into a tmpfs on the host, which a pod's containers share."""

from __future__ import annotations

import os
from pathlib import Path

from dockyard.base.linux import mounttable, syscalls

MS_NOSUID, MS_NODEV = 2, 4


def mount(path: Path, size: int) -> None:
    """Idempotent. ``size`` in bytes; 0: half of the machine's memory, as tmpfs(5) has it."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not os.path.ismount(path):
        limit = f",size={size}" if size else ""
        syscalls.mount("tmpfs", str(path), "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0777{limit}")


def unmount_below(folder: Path) -> list[str]:
    """Unmount every tmpfs below a folder, the innermost first; their paths.

    Only what ``/proc/self/mountinfo`` names below it: nobody else's mounts.
    """
    found = [point for point, kind in mounts_below(folder) if kind == "tmpfs"]
    for point in sorted(found, key=len, reverse=True):
        syscalls.umount(point)
    return found


def mounts_below(folder: Path) -> list[tuple[str, str]]:
    """(path, type) of every mount below a folder."""
    root = os.path.realpath(folder)
    rows = mounttable.read()
    return [(row.point, row.kind) for row in rows if row.point.startswith(f"{root}/")]
