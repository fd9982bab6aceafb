"""Turns a container's control group into what it has used, as the runtime's interface has it."""

from __future__ import annotations

import contextlib
import os

from dockyard.base.errors import NotFound
from dockyard.base.linux import cgroupstats
from dockyard.interfaces.ociruntime import Usage
from dockyard.node.runtime.cgroups import group


def read(path: str) -> Usage:
    """The use of a group and of those below it; zeros where it is gone. Refused where an
    ordinary user's container never had one: zeros would be wrong."""
    if os.geteuid() != 0:
        with contextlib.suppress(NotFound):
            group.there(path)
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
