"""Turns values put in by one task into values taken by another, bounded, with an end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Full(Exception):
    """The reader is slower than the channel's bound allows."""


class Closed(Exception):
    """The channel has ended: nothing more can be put, or everything has been taken."""


class Channel(Generic[T]):
    """A bounded queue with an end. Putting never waits: a full channel is the writer's decision.

    One event loop, any number of readers. ``close`` lets readers take what is queued first;
    ``close(error)`` makes them fail with it afterwards.
    """

    __slots__ = ("_bound", "_closed", "_error", "_items", "_readers")

    def __init__(self, bound: int = 0) -> None:
        self._items: deque[T] = deque()
        self._bound = bound
        self._readers: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        """Queue an item. Raises :class:`Full` over the bound, :class:`Closed` after the end."""
        if self._closed:
            raise Closed
        if self._bound and len(self._items) >= self._bound:
            raise Full
        self._items.append(item)
        self._wake_one()

    async def get(self) -> T:
        """The oldest item. Raises :class:`Closed` (or the closing error) when all are taken."""
        while not self._items:
            if self._closed:
                raise self._error or Closed
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake_one()
                elif waiter in self._readers:  # a put meanwhile may have passed it over
                    self._readers.remove(waiter)
                raise
        return self._items.popleft()

    def drain(self) -> list[T]:
        """Everything queued now, without waiting."""
        items = list(self._items)
        self._items.clear()
        return items

    def close(self, error: BaseException | None = None) -> None:
        """No more items; a second call changes nothing."""
        if self._closed:
            return
        self._closed, self._error = True, error
        while self._readers:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._readers:
            waiter = self._readers.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            try:
                item = await self.get()
            except Closed:
                return
            yield item
