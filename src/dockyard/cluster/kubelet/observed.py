"""Turns the runtime's lists into what is true of one pod: sandboxes and containers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dockyard.interfaces.cri import READY, RUNNING, ContainerStatus, PodSandboxStatus


class Observed(NamedTuple):
    """One pod, as the runtime has it."""

    sandboxes: tuple[PodSandboxStatus, ...] = ()
    """The newest first."""
    containers: Mapping[str, tuple[ContainerStatus, ...]] = {}
    """By name; the newest attempt first."""

    @property
    def sandbox(self) -> PodSandboxStatus | None:
        """The newest, if it is ready."""
        newest = self.sandboxes[0] if self.sandboxes else None
        return newest if newest is not None and newest.state == READY else None

    def newest(self, name: str) -> ContainerStatus | None:
        """A container's latest attempt."""
        found = self.containers.get(name)
        return found[0] if found else None

    @property
    def running(self) -> list[ContainerStatus]:
        """Every attempt that runs."""
        return [each for found in self.containers.values() for each in found
                if each.state == RUNNING]  # fmt: skip


def observe(
    sandboxes: Iterable[PodSandboxStatus], containers: Iterable[ContainerStatus]
) -> Observed:
    """Both lists are one pod's."""
    by_name: dict[str, list[ContainerStatus]] = {}
    for each in containers:
        by_name.setdefault(each.name, []).append(each)
    return Observed(
        tuple(sorted(sandboxes, key=lambda each: (each.attempt, each.created_at), reverse=True)),
        {
            name: tuple(
                sorted(found, key=lambda each: (each.attempt, each.created_at), reverse=True)
            )
            for name, found in by_name.items()
        },
    )
