"""Turns failures into pauses: 10 s, doubling, at most 5 minutes; ten quiet minutes forget them.

The rules are client-go's ``flowcontrol.Backoff``, which the kubelet uses for crashed containers and
for images: a pause is counted from the event (a container's end), and it doubles only when the
next try has been made.
"""

from __future__ import annotations

FIRST, LONGEST = 10.0, 300.0


class BackOff:
    """Pauses by name. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, float]] = {}
        """(pause, time of the last try)."""

    def left(self, name: str, event: float, now: float) -> float:
        """Seconds until the next try after an event; 0: try now."""
        entry = self._entries.get(name)
        if entry is None or event - entry[1] > 2 * LONGEST:
            return 0.0
        return max(0.0, event + entry[0] - now)

    def pause(self, name: str) -> float:
        """How long a pause is now."""
        return self._entries.get(name, (0.0, 0.0))[0]

    def tried(self, name: str, event: float, now: float) -> None:
        """A try is made after an event: the next pause is longer."""
        entry = self._entries.get(name)
        if entry is None or event - entry[1] > 2 * LONGEST:
            self._entries[name] = (FIRST, now)
        else:
            self._entries[name] = (min(LONGEST, entry[0] * 2), now)

    def forget(self, name: str) -> None:
        """It went well."""
        self._entries.pop(name, None)


def go_duration(seconds: float) -> str:
    """``10s``, ``1m20s``, ``5m0s``, ``1.5s``, ``300ms``: as Go's ``time.Duration`` is printed."""
    if seconds < 1:
        return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms" if seconds else "0s"
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
