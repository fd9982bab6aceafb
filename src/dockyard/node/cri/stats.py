"""Turns a container's control group, and a folder, into what they use."""

from __future__ import annotations

import os

from dockyard.base.linux import cgroupstats


def usage(cgroup: str) -> tuple[int, int, int]:
    """(processor time in nanoseconds, working set in bytes, anonymous memory in bytes).

    Zeros: the group is gone.
    """
    memory = cgroupstats.memory(cgroup)
    return cgroupstats.cpu(cgroup).total, memory.working_set, memory.anonymous


def tree_usage(folder: str) -> tuple[int, int]:
    """(bytes on disk, inodes) of what is below a folder; other mounts are not entered."""
    total = count = 0
    for _, folders, _, descriptor in os.fwalk(folder):
        with os.scandir(descriptor) as entries:
            sizes = [e.stat(follow_symlinks=False).st_blocks * 512 for e in entries]
        total, count = total + sum(sizes), count + len(sizes)
        folders[:] = [name for name in folders
                      if os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_dev
                      == os.fstat(descriptor).st_dev]  # fmt: skip
    return total, count
