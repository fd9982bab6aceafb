"""Turns two processes that one wakes and works beside into two that have a processor each.

Who is woken through a socket is put on the processor of whoever wakes it, which is about to sleep:
so the scheduler takes it (WF_SYNC). Where it does not sleep, the other waits for as long as it
works: 2 ms of a container's start.
"""

import ctypes
import os

from dockyard.base.linux.door import call


def part(pid: int) -> None:
    """Keep a process that sleeps off the processor that this one runs on, until it says otherwise:
    a container's init does, as soon as it is in its control group."""
    usable = os.sched_getaffinity(0)
    if len(usable) > 1:
        here = ctypes.c_uint()
        call("getcpu", ctypes.byref(here), None, None)
        os.sched_setaffinity(pid, usable - {here.value})
