"""Turns a container into what it uses now: its control group, and its network's counters."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.interfaces.ociruntime import Usage
from dockyard.node.engine.clear import has_own_network
from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts

LOOPBACK = "lo"


class Sample(NamedTuple):
    """What a container has used up to a moment; nothing where it does not run."""

    time: float
    usage: Usage
    received: int
    sent: int


def sample(parts: Parts, container: Container) -> Sample:
    """Look once."""
    if not container.alive:
        return Sample(parts.clock(), Usage(), 0, 0)
    used = parts.runtime.usage(parts.places.cgroup(container.id, container.config.cgroup_parent))
    if not used.memory_limit:
        used = used._replace(memory_limit=_machine_memory())
    received, sent = _traffic(container.pid) if has_own_network(container.config) else (0, 0)
    return Sample(parts.clock(), used, received, sent)


def _machine_memory() -> int:
    with open("/proc/meminfo") as file:
        return int(file.readline().split()[1]) * 1024  # MemTotal comes first (proc(5))


def _traffic(pid: int) -> tuple[int, int]:
    """Bytes in and out over all interfaces of its namespace, without the loopback."""
    received = sent = 0
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.read().splitlines()[2:]
    except OSError:  # it has ended
        return 0, 0
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() != LOOPBACK:
            fields = numbers.split()
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent
