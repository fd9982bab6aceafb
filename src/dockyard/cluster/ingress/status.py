"""Turns Ingresses that are served here into their status: the address where they are."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.base.aio.clock import Clock
from dockyard.cluster.client.client import Client, key_of
from dockyard.cluster.client.informer import Informer
from dockyard.cluster.client.resources import INGRESSES
from dockyard.cluster.client.transport import Object
from dockyard.cluster.client.workqueue import WorkQueue, work


class IngressStatus:
    """Writes ``status.loadBalancer`` of the Ingresses of ours."""

    def __init__(
        self,
        ingresses: Informer,
        client: Client,
        clock: Clock,
        address: str,
        is_ours: Callable[[Object], bool],
    ) -> None:
        self._ingresses, self._client, self._is_ours = ingresses, client, is_ours
        self._wanted = [{"ip": address}]
        self._queue = WorkQueue(clock)
        ingresses.add_handler(self._on_change)

    async def run(self) -> None:
        """Follow until cancelled."""
        await work("ingress status", self._queue, self._sync, workers=1)

    def look_again(self) -> None:
        """At all of them: whose they are may have changed."""
        for ingress in self._ingresses:
            self._queue.add(key_of(ingress))

    def _on_change(self, before: Object | None, after: Object | None) -> None:
        if after is not None:
            self._queue.add(key_of(after))

    async def _sync(self, key: str) -> None:
        ingress = self._ingresses.get(key)
        if ingress is None or not self._is_ours(ingress):
            return
        balancer = (ingress.get("status") or {}).get("loadBalancer") or {}
        if balancer.get("ingress") == self._wanted:
            return
        metadata = ingress["metadata"]
        patch = {"status": {"loadBalancer": {"ingress": self._wanted}}}
        await self._client.patch(
            INGRESSES, metadata["name"], patch, metadata["namespace"], "status"
        )
