"""Starts those who work on the API: the controllers and the scheduler."""

from __future__ import annotations

import random

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.transport import Resource
from dockyard.cluster.controllers import manager
from dockyard.cluster.controllers.common import Context
from dockyard.cluster.kinds.registry import Registry
from dockyard.cluster.scheduler.scheduler import Scheduler

NEVER_COLLECTED = frozenset({"events", "componentstatuses"})


def start(
    client: Client,
    registry: Registry,
    clock: Clock,
    tasks: Tasks,
    *,
    local_path: str,
    authority: str,
    chance: random.Random,
) -> None:
    """Each gets the client, the shared informers and the clock."""
    informers = Informers(client, clock)
    recorder = Recorder(client, clock, "controller-manager")
    context = Context(client, informers, clock, recorder, local_path)
    found = manager.controllers(context, stored_kinds(registry), authority)
    scheduler = Scheduler(client, informers, clock, chance)
    informers.start(tasks)
    manager.start(found, tasks)
    tasks.start(scheduler.run(), name="scheduler", essential=True)


def stored_kinds(registry: Registry) -> manager.Kinds:
    """Every kind that is listed and watched, in its stored version."""
    return {
        (kind.api_version, kind.kind): (
            Resource(kind.group, kind.version, kind.plural), kind.namespaced
        )
        for kind in registry.kinds
        if {"list", "watch", "delete"} <= set(kind.verbs)
        and kind.hub is None
        and kind.plural not in NEVER_COLLECTED
    }  # fmt: skip
