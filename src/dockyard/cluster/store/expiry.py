"""Turns times to live into deletes: one timer a key, on a clock that nobody sets.

A wall clock that jumps ends nothing early. After a restart each key has its whole time again, as an
etcd lease has under a new leader.
"""

from __future__ import annotations

from collections.abc import Callable

from dockyard.base.aio.clock import Clock, Handle

Expire = Callable[[str, int], None]
"""Called with the key and the revision of the value whose time is over."""


class Expiries:
    """The keys that go by themselves."""

    def __init__(self, clock: Clock, expire: Expire) -> None:
        self._clock, self._expire = clock, expire
        self._timers: dict[str, Handle] = {}

    def set(self, key: str, modified: int, ttl: float) -> None:
        """The key has a new value, with its own time to live; 0 is for ever."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if ttl > 0:
            self._timers[key] = self._clock.call_later(ttl, lambda: self._due(key, modified))

    def _due(self, key: str, modified: int) -> None:
        del self._timers[key]
        self._expire(key, modified)

    def close(self) -> None:
        """Nothing expires any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
