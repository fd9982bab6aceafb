"""Turns other limits, or another restart policy, into those of a container, running or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import Conflict, Invalid
from dockyard.node.engine import event, launch, policy, refresh, restart, spec
from dockyard.node.engine.config import REMOVING, Resources, RestartPolicy
from dockyard.node.engine.parts import Parts


class Wishes(NamedTuple):
    """What shall be otherwise."""

    limits: Mapping[str, Any]
    """Members of :class:`Resources`."""
    restart: RestartPolicy | None = None


def update(parts: Parts, reference: str, wishes: Wishes) -> None:
    """Raises :class:`Invalid` for what does not fit together; then nothing has changed."""
    if wishes.restart:
        policy.check(wishes.restart)
    container = refresh.find(parts, reference)
    with parts.locks.hold(container.id):
        latest = parts.database.find(container.id)
        if latest.status == REMOVING:
            raise Conflict(f"Cannot update container {latest.id}: Container is marked for removal "
                           'and cannot be "update".')  # fmt: skip
        if wishes.restart and latest.config.auto_remove and wishes.restart.name != "no":
            raise Invalid(f"Cannot update container {latest.id}: Restart policy cannot be updated "
                          "because AutoRemove is enabled for the container")  # fmt: skip
        limits = changed(latest.config.resources, wishes.limits)
        config = latest.config._replace(
            resources=limits, restart=wishes.restart or latest.config.restart
        )
        if latest.alive and wishes.limits:
            parts.runtime.update(
                parts.places.cgroup(latest.id, latest.config.cgroup_parent), spec.resources(limits)
            )
        if latest.alive and wishes.restart:
            watched = launch.aftermath(parts, latest._replace(config=config), attached=False)
            parts.runtime.watch(parts.places.run(latest.id), watched)
        told = event.of(latest, "update", parts.clock())
        parts.database.update(latest._replace(config=config), told)
    if wishes.restart and wishes.restart.name == "no":
        restart.give_up(parts, container.id)


def changed(before: Resources, limits: Mapping[str, Any]) -> Resources:
    """The limits as they will be. Pure. Docker's rules: a memory limit is not above that of memory
    and swap together, and processors are said in one way."""
    found = before._replace(**limits)
    if found.memory and 0 < found.memory_swap < found.memory:
        raise Invalid("Memory limit should be smaller than already set memoryswap limit, update "
                      "the memoryswap at the same time")  # fmt: skip
    if limits.get("memory_swap") and not found.memory:
        raise Invalid("You should always set the Memory limit when using Memoryswap limit")
    if limits.get("nano_cpus") and (before.cpu_quota or before.cpu_period):
        raise Invalid("Conflicting options: Nano CPUs cannot be updated as CPU Period or CPU "
                      "Quota has already been set")  # fmt: skip
    if (limits.get("cpu_quota") or limits.get("cpu_period")) and before.nano_cpus:
        raise Invalid("Conflicting options: CPU Period or CPU Quota cannot be updated as NanoCPUs "
                      "has already been set")  # fmt: skip
    return found
