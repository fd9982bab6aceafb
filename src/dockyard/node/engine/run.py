"""Turns a configuration into a container that runs: making and starting as one change.

Whoever is killed between the two leaves nothing, where a container that is only made is kept.
"""

from __future__ import annotations

from dockyard.interfaces.ociruntime import Stream
from dockyard.node.engine import create, remove, start
from dockyard.node.engine.config import CREATED, STARTING, Container, ContainerConfig
from dockyard.node.engine.parts import Parts


def run(
    parts: Parts,
    config: ContainerConfig,
    name: str,
    owner: str,
    attach: bool,
) -> tuple[Container, Stream | None]:
    """The container and, if asked for, its streams. Where the start fails, one that vanishes with
    its end is gone, and another remains as made."""
    container_id = create.new_id()
    with parts.locks.hold(container_id):
        made = create.make(parts, container_id, config, name, owner, STARTING)
        made = made._replace(status=CREATED)
        try:
            return made, start.begin(parts, made, attach)
        except BaseException:
            if config.auto_remove:
                remove.erase(parts, made, volumes=True)
            raise
