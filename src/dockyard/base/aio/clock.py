"""Turns waiting into an argument: the clock that everything with an event loop is handed.

:class:`RealClock` is the machine's. :class:`TurnableClock` stands still until a test turns it, and
knows when nothing can run any more: its event loop's selector tells it (see :func:`run_turnable`).
"""

import asyncio
import contextlib
import heapq
import itertools
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Handle(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What code may know of time. Seconds everywhere."""

    def time(self) -> float:
        """Wall clock: seconds since the epoch."""

    def monotonic(self) -> float:
        """For durations: no change of the wall clock moves it."""

    async def sleep(self, seconds: float) -> None:
        """Return when that much time has passed."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """Cancel the block and raise ``TimeoutError`` when it takes longer; None: never."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Handle:
        """Call back from the event loop when that much time has passed."""

    def busy(self) -> AbstractContextManager[object]:
        """Held while work goes on that the event loop cannot see (a thread, another process)."""


class RealClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Handle:
        return asyncio.get_running_loop().call_later(seconds, callback)

    def busy(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()


class _Waiter:
    """A callback on a turnable clock."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TurnableClock:
    """A clock that stands still until :meth:`advance` turns it.

    It works inside :func:`run_turnable`, whose event loop tells it when nothing is left to run.
    """

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._waiters: list[tuple[float, int, _Waiter]] = []
        self._order = itertools.count()
        self._busy = 0
        self._settling: asyncio.Future[None] | None = None

    def time(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        handle = self.call_later(seconds, lambda: _finish(done))
        try:
            await done
        finally:
            handle.cancel()

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        return _Timeout(self, seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Handle:
        waiter = _Waiter(callback)
        heapq.heappush(
            self._waiters, (self._elapsed + max(seconds, 0.0), next(self._order), waiter)
        )
        return waiter

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def settle(self) -> None:
        """Return when nothing can run any more without the clock being turned."""
        if self._settling is not None:
            raise RuntimeError("clock: two tasks turn it at once")
        self._settling = asyncio.get_running_loop().create_future()
        try:
            await self._settling
        finally:
            self._settling = None

    async def advance(self, seconds: float) -> None:
        """Turn the clock; each callback runs at its own time, and all that follows from it.

        Returns when nothing can run any more.
        """
        target = self._elapsed + seconds
        await self.settle()
        while self._waiters and self._waiters[0][0] <= target:
            when, _, waiter = heapq.heappop(self._waiters)
            if waiter.cancelled:
                continue
            self._elapsed = max(self._elapsed, when)
            waiter.callback()
            await self.settle()
        self._elapsed = target

    def idle(self) -> bool:
        """Called by the event loop when it has nothing to run: whether somebody waited for that."""
        if self._settling is None or self._settling.done() or self._busy:
            return False
        self._settling.set_result(None)
        return True


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Timeout:
    """`asyncio.timeout` on a turnable clock: cancels its task once, and owns that cancellation."""

    def __init__(self, clock: TurnableClock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._expired = False
        self._handle: Handle | None = None

    async def __aenter__(self) -> "_Timeout":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("clock: a timeout needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        if self._seconds is not None:
            self._handle = self._clock.call_later(self._seconds, self._expire)
        return self

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if (
            self._expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error


class _IdleSelector(selectors.DefaultSelector):
    """Tells a clock when the event loop asks to block: then nothing is left to run."""

    def __init__(self, clock: TurnableClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            ready = super().select(0)
            if ready or self._clock.idle():
                return ready
        return super().select(timeout)


def run_turnable(clock: TurnableClock, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop that tells the clock when it is idle."""
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(_IdleSelector(clock))
    ) as runner:
        return runner.run(main)
