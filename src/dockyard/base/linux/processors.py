"""Turns two processes that one wakes and works beside into two that have a processor each.

Who is woken through a socket is put on the processor of whoever wakes it, which is about to sleep:
so the scheduler takes it (WF_SYNC). Where it does not sleep, the other waits for as long as it
works: 2 ms of a container's start.
"""

import os

from dockyard.base.linux import foreign
from dockyard.base.linux.door import call
from dockyard.base.suppress import suppress

LATER = 0.02
"""Seconds in which a short container has ended: after them nobody waits for a processor that takes
a memory apart. A kernel without preemption does not stop in the middle of that."""


def part(pid: int) -> frozenset[int]:
    """Keep a process that sleeps off the processor that this one runs on, and this one there.

    The other may run anywhere as soon as it is in its control group; for this one :func:`rejoin`
    says so. Returns the processors that both had.
    """
    usable = frozenset(os.sched_getaffinity(0))
    if len(usable) > 1:
        here = foreign.c_uint()
        call("getcpu", foreign.byref(here), None, None)
        os.sched_setaffinity(0, (here.value,))
        os.sched_setaffinity(pid, usable - {here.value})
    return usable


def rejoin(usable: frozenset[int]) -> None:
    """What this process starts may run on any of them again."""
    if len(usable) > 1:
        os.sched_setaffinity(0, usable)


def stand_back(pid: int = 0) -> None:
    """Let a process (0: this one) run only where nobody else wants to: it is about to end, and to
    take its memory apart is 0.8 ms of a processor that somebody waits for."""
    with suppress(OSError):  # it has ended
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
