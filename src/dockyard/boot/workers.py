"""Starts those who work on the API: the controllers and the scheduler."""

from __future__ import annotations

import random

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import Tasks
from dockyard.boot.layout import Settings
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers


async def start(
    client: Client, settings: Settings, clock: Clock, tasks: Tasks, chance: random.Random
) -> None:
    """Each gets the client, the shared informers and the clock."""
    informers = Informers(client, clock)
    informers.start(tasks)
