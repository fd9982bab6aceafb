"""Turns links to other containers into variables, as Docker has them on its default bridge."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.base.errors import Conflict
from dockyard.node.engine.config import Container
from dockyard.node.engine.parts import Parts

OTHERS = ("PATH", "HOME", "HOSTNAME", "TERM")
"""Variables that a container has anyway: they are not told of."""


def of(parts: Parts, container: Container) -> tuple[str, ...]:
    """What a container's program gets. Raises :class:`Conflict` for a link to one that is down."""
    if container.config.network != "bridge":
        return ()
    found: list[str] = []
    for other_id, alias in container.config.links:
        other = parts.database.find(other_id)
        if not other.alive:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS "
                           f"/{container.name}/{alias}")  # fmt: skip
        found += variables(container.name, alias, other)
    return tuple(found)


def variables(name: str, alias: str, other: Container) -> Iterable[str]:
    """``DB_PORT_5432_TCP_ADDR=172.17.0.2`` and the like."""
    prefix = alias.replace("-", "_").upper()
    ports = _ports(other)
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{other.address}:{number}"
    for number, protocol in ports:
        key = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{key}={protocol}://{other.address}:{number}"
        yield f"{key}_ADDR={other.address}"
        yield f"{key}_PORT={number}"
        yield f"{key}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{name}/{alias}"
    for entry in other.config.env:
        key, equals, value = entry.partition("=")
        if equals and key not in OTHERS:
            yield f"{prefix}_ENV_{key}={value}"


def _ports(other: Container) -> list[tuple[int, str]]:
    config = other.config
    named = {(port.container_port, port.protocol) for port in config.ports}
    for text in config.exposed:
        number, _, protocol = text.partition("/")
        named.add((int(number), protocol or "tcp"))
    return sorted(named)
