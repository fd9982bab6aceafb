"""Turns calls of the engine, which block, into awaitables: threads, bounded, with a wish to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dockyard.base.aio.clock import Clock

T = TypeVar("T")
CALLS, STREAMS = 16, 32
"""Threads for calls that end soon, and for reads and writes of streams, which may wait a little."""


class Threads:
    """The threads of one CRI. Nothing that waits for a container's will is done in them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls = ThreadPoolExecutor(CALLS, "cri")
        self._streams = ThreadPoolExecutor(STREAMS, "cri-stream")

    async def call(self, work: Callable[[], T]) -> T:
        """A call of the engine."""
        with self._clock.busy():
            return await asyncio.get_running_loop().run_in_executor(self._calls, work)

    async def stream(self, work: Callable[[], T]) -> T:
        """A read or a write of a stream."""
        with self._clock.busy():
            return await asyncio.get_running_loop().run_in_executor(self._streams, work)

    def close(self) -> None:
        """Take no more work."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._streams.shutdown(wait=False, cancel_futures=True)
