"""Turns a container's control group into what it has used, as the runtime's interface has it."""

from __future__ import annotations

from dockyard.base.linux import cgroupstats
from dockyard.interfaces.ociruntime import Usage


def read(path: str) -> Usage:
    """The use of a group and of those below it; zeros where it is gone."""
    memory, block = cgroupstats.memory(path), cgroupstats.block(path)
    limits = [memory.usage.limit, memory.raw.get("hierarchical_memory_limit")]
    limit = min((each for each in limits if each and each < cgroupstats.UNLIMITED), default=0)
    return Usage(
        cpu=cgroupstats.cpu(path).total,
        memory=memory.working_set,
        memory_limit=limit,
        read=block.sum("Read"),
        written=block.sum("Write"),
        pids=cgroupstats.pids(path).current,
    )
