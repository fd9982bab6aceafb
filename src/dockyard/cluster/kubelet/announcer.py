"""Turns what happens to pods into Events, in their order, without anybody waiting for the API."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.base.aio.queues import Channel, Full
from dockyard.cluster.client.events import Recorder
from dockyard.cluster.client.transport import Object

MOST_QUEUED = 2000
"""While the API is away: what comes after is dropped, as client-go's broadcaster does."""
NORMAL, WARNING = "Normal", "Warning"


class _Said(NamedTuple):
    about: Object
    kind: str
    reason: str
    message: str
    field: str


class Announcer:
    """Says things of pods. :meth:`run` writes them down."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._queue: Channel[_Said] = Channel(MOST_QUEUED)

    def say(
        self, pod: Object, kind: str, reason: str, message: str, container: str = "", *,
        init: bool = False,
    ) -> None:  # fmt: skip
        """``kind`` is Normal or Warning."""
        section = "initContainers" if init else "containers"
        field = f"spec.{section}{{{container}}}" if container else ""
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}
        try:
            self._queue.put(_Said(about, kind, reason, message, field))
        except Full:
            return  # the API has been away for long; what came first tells more

    async def run(self) -> None:
        """Write until cancelled."""
        async for said in self._queue:
            await self._recorder.event(said.about, said.kind, said.reason, said.message, said.field)
