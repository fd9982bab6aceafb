"""Turns what happens to a container into an event, as Docker names it (``GET /events``)."""

from __future__ import annotations

from dockyard.base import jsontext
from dockyard.base.typed import NamedTuple
from dockyard.node.engine.config import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Event(NamedTuple):
    """One thing that happened."""

    kind: str
    """``container``, ``network`` or ``volume``."""
    action: str
    id: str
    """Of the container, or the network's or volume's name."""
    attributes: dict[str, str]
    time: float
    """Seconds since the epoch."""


def of(container: Container, action: str, time: float, **more: str) -> Event:
    """An event of a container: its labels, image and name come along."""
    config = container.config
    attributes = {**dict(config.labels), "image": config.image or config.rootfs,
                  "name": container.name, **more}  # fmt: skip
    return Event("container", action, container.id, attributes, time)


def died(container: Container) -> tuple[Event, ...]:
    """A container has ended: how, and after how long."""
    time = container.finished
    lasted = max(0, int(time - container.started)) if container.started else 0
    last = of(container, "die", time, exitCode=str(container.exit_code), execDuration=str(lasted))
    return (of(container, "oom", time), last) if container.oom_killed else (last,)


def connected(container: Container, action: str, time: float) -> Event:
    """``connect`` or ``disconnect``, of its network."""
    name = container.config.network
    kind = name if name in ("host", "none") else "bridge"
    attributes = {"container": container.id, "name": name, "type": kind}
    return Event("network", action, name, attributes, time)


def encode(event: Event) -> str:
    """The text of an event's row."""
    return jsontext.dumps([*event[:4]])


def decode(text: str, time: float) -> Event:
    """The event of a row."""
    kind, action, identity, attributes = jsontext.loads(text)
    return Event(kind, action, identity, attributes, time)


def describe(event: Event) -> dict[str, Any]:
    """The JSON of Docker's API; a container's has the older members too."""
    found: dict[str, Any] = {}
    if event.kind == "container":
        found = {"status": event.action, "id": event.id,
                 "from": event.attributes.get("image", "")}  # fmt: skip
    return {
        **found,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": int(event.time),
        "timeNano": round(event.time * 1e9),
    }
