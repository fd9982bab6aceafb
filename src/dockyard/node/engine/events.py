"""Turns the node's table of events into a stream that can be followed.

Without a daemon nobody writes down an end when it happens: whoever follows looks whether a
monitor has written one, and does it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dockyard.base.aio import now
from dockyard.base.errors import DockyardError
from dockyard.node.engine import health, refresh
from dockyard.node.engine.event import Event
from dockyard.node.engine.parts import Parts

TURN = 0.1
"""Seconds between two looks."""


def follow(parts: Parts, since: float, until: float | None) -> Iterator[Event]:
    """Events at or after ``since``, up to ``until``; None: as they happen, without end.

    ``since`` 0: only what happens from now on.
    """
    _notice_ends(parts)
    known = parts.database.told()
    last = known[-1][0] if known else 0
    if since:
        # an end is written down when somebody looks: it may be older than its row
        past = sorted((event for _, event in known), key=lambda event: event.time)
        yield from _within(past, since, until)
    while until is None or parts.clock() < until:
        for number, event in parts.database.told(last):
            last = number
            yield from _within([event], 0.0, until)
        now.pause(TURN)
        _notice_ends(parts)


def _within(events: list[Event], since: float, until: float | None) -> Iterator[Event]:
    for event in events:
        if event.time >= since and (until is None or event.time <= until):
            yield event


def _notice_ends(parts: Parts) -> None:
    """Containers that have ended since somebody looked last."""
    for container_id, checked in parts.database.running():
        ended = parts.runtime.exit(parts.places.state(container_id)) is not None
        container = parts.database.get(container_id) if ended or checked else None
        if container is not None and checked:
            health.note(parts, container)
        if container is not None and ended:
            with contextlib.suppress(DockyardError):
                refresh.refresh(parts, container)
