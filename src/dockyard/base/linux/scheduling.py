"""Turns scheduling wishes into calls about this thread: sched(7), ioprio_set(2), personality(2)."""

import ctypes
import os
from collections.abc import Collection

from dockyard.base.linux.door import Bits, call, through

POLICIES = {
    "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4,
    "SCHED_IDLE": 5, "SCHED_DEADLINE": 6,
}  # fmt: skip
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20, "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}  # fmt: skip
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
DOMAINS = {"LINUX": 0x0000, "LINUX32": 0x0008}
MEMORY_MODES = {
    "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6,
}  # fmt: skip
MEMORY_FLAGS = {
    "MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}  # fmt: skip

_IO_CLASS_SHIFT = 13
_WHO_PROCESS = 1


class SchedulerAttributes(ctypes.Structure):
    """``struct sched_attr`` of sched_setattr(2); times are nanoseconds."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("util_min", ctypes.c_uint32),
        ("util_max", ctypes.c_uint32),
    ]


def set_scheduler(
    policy: int, flags: int, nice: int, priority: int, times: tuple[int, int, int]
) -> None:
    """Policy and what belongs to it; ``times``: runtime, deadline, period: sched_setattr(2)."""
    attributes = SchedulerAttributes(
        ctypes.sizeof(SchedulerAttributes), policy, flags, nice, priority, *times, 0, 0
    )
    call("sched_setattr", 0, attributes, 0)


def set_io_priority(io_class: int, priority: int) -> None:
    """Class and level, 0 (first) to 7: ioprio_set(2)."""
    call("ioprio_set", _WHO_PROCESS, 0, io_class << _IO_CLASS_SHIFT | priority)


def set_personality(domain: int, flags: int = 0) -> None:
    """The execution domain of what this process executes: personality(2)."""
    call("personality", Bits(domain | flags))


def set_affinity(processors: Collection[int]) -> None:
    """The processors that this thread may run on: sched_setaffinity(2)."""
    through("sched_setaffinity", os.sched_setaffinity, 0, processors)


def set_memory_policy(mode: int, nodes: Collection[int]) -> None:
    """Where memory comes from: set_mempolicy(2)."""
    size = (max(nodes, default=0) // 64 + 1) * 64
    words = (ctypes.c_uint64 * (size // 64))()
    for node in nodes:
        words[node // 64] |= 1 << node % 64
    call("set_mempolicy", Bits(mode), words if nodes else None, size + 1 if nodes else 0)
