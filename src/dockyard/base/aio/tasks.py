"""Turns coroutines into tasks that somebody owns: none is forgotten, none outlives its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from dockyard.base.aio.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("dockyard.tasks")


class Tasks:
    """Tasks with one owner: leaving the block cancels them all and waits until they have ended.

    A task that fails is logged and, when ``essential``, ends the block with its error; the
    others go on.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._failed: BaseException | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._closing = False

    async def __aenter__(self) -> Tasks:
        self._owner = asyncio.current_task()
        return self

    def start(
        self, work: Coroutine[Any, Any, T], *, name: str, essential: bool = False
    ) -> asyncio.Task[T]:
        """Run a coroutine as a task of this owner."""
        if self._closing:
            work.close()
            raise RuntimeError(f"tasks: {name}: started after the end")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, essential))
        return task

    def _ended(self, task: asyncio.Task[Any], essential: bool) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        log.error("task %s failed", task.get_name(), exc_info=error)
        if essential and self._failed is None and not self._closing:
            self._failed = error
            if self._owner is not None:
                self._owner.cancel()

    async def close(self) -> None:
        """Cancel every task and wait for its end."""
        self._closing = True
        while self._running:
            for task in list(self._running):
                task.cancel()
            await asyncio.wait(self._running)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        if self._failed is not None and self._owner is not None:
            self._owner.uncancel()
            raise self._failed


async def in_thread(clock: Clock, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function in a thread; a turnable clock waits for its end."""
    with clock.busy():
        return await asyncio.to_thread(work, *args, **kwargs)
