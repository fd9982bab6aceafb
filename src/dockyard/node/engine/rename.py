"""Turns a container's name into another."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.node.engine import event, hostnames
from dockyard.node.engine.create import is_name
from dockyard.node.engine.parts import Parts


def rename(parts: Parts, reference: str, name: str) -> None:
    """Raises :class:`NameTaken` where another container has the name."""
    if not name or not is_name(name):
        raise Invalid(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    container = parts.database.find(reference)
    if container.name == name:
        raise Invalid("Renaming a container with the same name as its current name")
    with parts.locks.hold(container.id):
        latest = parts.database.find(container.id)._replace(name=name)
        told = event.of(latest, "rename", parts.clock(), oldName=f"/{container.name}")
        parts.database.update(latest, told)
        if latest.alive:
            hostnames.changed(parts, latest)
