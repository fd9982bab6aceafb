"""Turns the informers of claims, volumes and classes into what the volume plugin asks, and a node
for a pod into claims that are bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Unavailable
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.informer import Informers
from dockyard.cluster.client.resources import CLAIMS, STORAGE_CLASSES, VOLUMES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.scheduler.plugins.volume_binding import (
    SELECTED_NODE,
    is_bound,
    selected_node,
)

BIND_SECONDS = 600.0
"""How long a pod waits for its claims before it is scheduled anew."""


class NotBound(Unavailable):
    """A claim has not got its volume on the node that was chosen; another node may do."""


class ClusterVolumes:
    """Claims, volumes and classes, as the informers know them."""

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._claims = informers.of(CLAIMS)
        self._volumes = informers.of(VOLUMES)
        self._classes = informers.of(STORAGE_CLASSES)
        self._waiting: set[asyncio.Future[None]] = set()
        self._claims.add_handler(lambda before, after: self._changed())

    def claim(self, namespace: str, name: str) -> Object | None:
        return self._claims.get(f"{namespace}/{name}")

    def volume(self, name: str) -> Object | None:
        return self._volumes.get(name)

    def storage_class(self, name: str) -> Object | None:
        return self._classes.get(name)

    async def bind(self, claims: Sequence[Object], node: str) -> None:
        """Tell the claims their node and wait until each is bound; :class:`NotBound` if not."""
        keys = []
        for claim in claims:
            metadata = claim["metadata"]
            keys.append((metadata["namespace"], metadata["name"]))
            if selected_node(claim) != node:
                patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                await self._client.patch(CLAIMS, metadata["name"], patch, metadata["namespace"])
        told: set[tuple[str, str]] = set()
        try:
            async with self._clock.timeout(BIND_SECONDS):
                while not all([self._check(key, node, told) for key in keys]):
                    await self._next_change()
        except TimeoutError as error:
            names = ", ".join(name for _, name in keys)
            raise NotBound(
                f"binding volumes: {names}: timed out waiting for the condition"
            ) from error

    def _check(self, key: tuple[str, str], node: str, told: set[tuple[str, str]]) -> bool:
        """Is the claim bound? A provisioner that gives up takes the node's name off it again."""
        claim = self.claim(*key)
        if claim is None:
            raise NotBound(f'binding volumes: persistentvolumeclaim "{key[1]}" not found')
        if is_bound(claim):
            return True
        if selected_node(claim) == node:
            told.add(key)
        elif key in told:
            raise NotBound(f'binding volumes: provisioning failed for PVC "{key[1]}"')
        return False

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def _next_change(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)
