"""Turns a container's control group into what it uses: cgroup v1's files, or v2's."""

from __future__ import annotations

import os

ROOT = "/sys/fs/cgroup"


def usage(cgroup: str) -> tuple[int, int, int]:
    """(processor time in nanoseconds, working set in bytes, anonymous memory in bytes).

    The working set is usage less inactive page cache, as cAdvisor has it. Zeros: it is gone.
    """
    unified = os.path.join(ROOT, cgroup)
    if os.path.exists(os.path.join(unified, "memory.current")):
        fields = _fields(os.path.join(unified, "memory.stat"))
        used = _number(os.path.join(unified, "memory.current"))
        microseconds = _fields(os.path.join(unified, "cpu.stat")).get("usage_usec", 0)
        return (
            microseconds * 1000,
            max(0, used - fields.get("inactive_file", 0)),
            fields.get("anon", 0),
        )
    memory = os.path.join(ROOT, "memory", cgroup)
    fields = _fields(os.path.join(memory, "memory.stat"))
    used = _number(os.path.join(memory, "memory.usage_in_bytes"))
    cpu = _number(os.path.join(ROOT, "cpuacct", cgroup, "cpuacct.usage"))
    return cpu, max(0, used - fields.get("total_inactive_file", 0)), fields.get("total_rss", 0)


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


def _number(path: str) -> int:
    try:
        with open(path) as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def _fields(path: str) -> dict[str, int]:
    try:
        with open(path) as file:
            pairs = (line.split() for line in file)
            return {words[0]: int(words[1]) for words in pairs if len(words) == 2}
    except FileNotFoundError:
        return {}
