"""Turns changes of Services and EndpointSlices into one kernel transaction, soon after the first.

What is applied is the whole table: a restart replaces what an earlier run has left behind.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import ENDPOINT_SLICES, SERVICES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.proxy import rules

log = logging.getLogger("dockyard.proxy")
GATHER_SECONDS = 0.02
AGAIN_SECONDS = 1.0


class Kernel(Protocol):
    """What is needed of :class:`dockyard.base.net.nft.Nft`."""

    def run(self, commands: str) -> None:
        """Apply commands in one transaction."""

    def delete_table(self, family: str, name: str) -> None:
        """Remove a table; one that is not there is fine."""


class Proxy:
    """The Services of a node."""

    def __init__(self, informers: Informers, nft: Kernel, instance: str, clock: Clock) -> None:
        self._services = informers.of(SERVICES)
        self._slices = informers.of(ENDPOINT_SLICES)
        self._nft, self._instance, self._clock = nft, instance, clock
        self._changed = asyncio.Event()
        self._applied = ""

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._services.synced()
        await self._slices.synced()
        for informer in (self._services, self._slices):
            informer.add_handler(self._on_change)
        while True:
            wanted = rules.ruleset(self._instance, rules.ports_of(self._services, self._slices))
            if wanted != self._applied:
                try:
                    await in_thread(self._clock, self._nft.run, wanted)
                    self._applied = wanted
                except DockyardError as error:
                    log.error("proxy: %s", error)
                    await self._clock.sleep(AGAIN_SECONDS)
                    continue
            await self._changed.wait()
            await self._clock.sleep(GATHER_SECONDS)
            self._changed.clear()

    def _on_change(self, before: Object | None, after: Object | None) -> None:
        self._changed.set()


def teardown(nft: Kernel, instance: str) -> None:
    """Remove every rule of an instance's Services."""
    nft.delete_table("inet", rules.table_name(instance))
