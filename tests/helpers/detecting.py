"""A Transport that remembers what it has handed out, so that a test finds out who changes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dockyard.cluster.client.mutations import MutationDetector
from dockyard.cluster.client.transport import Object, Request, Transport, WatchEvent


class Detecting:
    """Hands on what another transport says; ``detector.check()`` holds it against what it was."""

    def __init__(self, below: Transport, detector: MutationDetector) -> None:
        self._below, self._detector = below, detector

    async def call(self, request: Request) -> Object:
        found = await self._below.call(request)
        for each in found.get("items") or ():
            self._detector.handed_out(each)
        self._detector.handed_out(found)
        return found

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        async for event in self._below.watch(request):
            self._detector.handed_out(event.object)
            yield event

    async def close(self) -> None:
        await self._below.close()
