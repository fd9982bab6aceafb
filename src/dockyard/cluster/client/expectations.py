"""Turns what a controller has just done into what its informer must show before it decides again.

Without it, a controller that looks at its copy before its own pods are in it makes them twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.base.aio.clock import Clock

LONGEST_SECONDS = 300.0
"""After this what is missing is believed lost: the controller looks anyway."""


class _Expected:
    __slots__ = ("creations", "deletions", "until")

    def __init__(self, creations: int, deletions: set[str], until: float) -> None:
        self.creations, self.deletions, self.until = creations, deletions, until


class Expectations:
    """By key: so many creations, and the deletions of these uids."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[str, _Expected] = {}

    def expect(self, key: str, *, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Before it is done: what will be seen. Replaces what was expected before."""
        until = self._clock.monotonic() + LONGEST_SECONDS
        self._expected[key] = _Expected(creations, set(deletions), until)

    def created(self, key: str) -> None:
        """A creation was seen, or has failed."""
        found = self._expected.get(key)
        if found is not None and found.creations > 0:
            found.creations -= 1

    def deleted(self, key: str, uid: str) -> None:
        """A deletion (or its beginning) was seen, or has failed."""
        found = self._expected.get(key)
        if found is not None:
            found.deletions.discard(uid)

    def met(self, key: str) -> bool:
        """Whether everything has been seen, or has taken too long."""
        found = self._expected.get(key)
        return (
            found is None
            or (found.creations == 0 and not found.deletions)
            or self._clock.monotonic() >= found.until
        )

    def forget(self, key: str) -> None:
        """Its owner is gone."""
        self._expected.pop(key, None)
