"""Turns the limits of a build's steps into what an OCI runtime is told."""

from __future__ import annotations

from typing import Any, NamedTuple


class Limits(NamedTuple):
    """Of each RUN; 0 and empty are none."""

    ulimits: tuple[tuple[str, int, int], ...] = ()
    """Name, soft and hard limit; -1 is no limit."""
    cgroup_parent: str = ""
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpus: str = ""
    mems: str = ""

    def cgroup(self, instance: str, identifier: str) -> str:
        """The control group of a step."""
        return f"{self.cgroup_parent or f'dockyard/{instance}'}/{identifier}"

    def resources(self) -> dict[str, Any]:
        """``linux.resources``."""
        memory = {"limit": self.memory, "swap": self.memory_swap}
        cpu = {"shares": self.cpu_shares, "period": self.cpu_period, "quota": self.cpu_quota,
               "cpus": self.cpus, "mems": self.mems}  # fmt: skip
        found = {}
        for name, values in (("memory", memory), ("cpu", cpu)):
            if kept := {key: value for key, value in values.items() if value}:
                found[name] = kept
        return found

    def rlimits(self) -> list[dict[str, Any]]:
        """``process.rlimits``."""
        return [
            {"type": f"RLIMIT_{name.upper()}", "soft": _number(soft), "hard": _number(hard)}
            for name, soft, hard in self.ulimits
        ]


def _number(limit: int) -> int:
    return 2**64 - 1 if limit == -1 else limit
