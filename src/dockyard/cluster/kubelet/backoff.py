"""Turns failures into pauses: 10 s, doubling, at most 5 minutes; ten good minutes forget them."""

from __future__ import annotations

from dockyard.base.aio.clock import Clock

FIRST, LONGEST = 10.0, 300.0
FORGET = 600.0


class BackOff:
    """Pauses by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[float, float]] = {}
        self._counted: dict[str, float] = {}

    def failed(self, name: str) -> None:
        """It has failed now."""
        pause = self.pause(name)
        self._failures[name] = (min(LONGEST, pause * 2) if pause else FIRST, self._clock.time())

    def pause(self, name: str) -> float:
        """How long the pause after its last failure is."""
        return self._failures.get(name, (0.0, 0.0))[0]

    def left(self, name: str, started: float = 0.0, finished: float = 0.0) -> float:
        """Seconds until it may be tried again.

        ``started`` and ``finished`` are a run's; each run counts once, the first one is free.
        """
        if finished and self._counted.get(name) != finished:
            first = name not in self._counted
            self._counted[name] = finished
            if finished - started >= FORGET:
                self._failures.pop(name, None)
            elif not first:
                self.failed(name)
        pause, since = self._failures.get(name, (0.0, 0.0))
        return max(0.0, since + pause - self._clock.time())
