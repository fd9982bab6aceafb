"""Turns what the kernel holds of a container into nothing: its processes, groups and links."""

from __future__ import annotations

from dockyard.node.engine import hostnames
from dockyard.node.engine.config import Container, ContainerConfig
from dockyard.node.engine.parts import Parts


def clear(parts: Parts, container: Container, *, connected: bool) -> None:
    """Remove what the runtime and, where it may be connected, the network hold. Idempotent."""
    places = parts.places
    run, cgroup = (
        places.run(container.id),
        places.cgroup(container.id, container.config.cgroup_parent),
    )
    if dict(container.config.join).get("mount") == "host":
        parts.runtime.delete(run, cgroup, places.root(container.id))
    else:
        parts.runtime.delete(run, cgroup)
    if connected:
        disconnect(parts, container)


def disconnect(parts: Parts, container: Container) -> None:
    """Give back its address, links and ports."""
    if has_own_network(container.config):
        parts.network.detach(container.id)
        hostnames.changed(parts, container, gone=True)


def has_own_network(config: ContainerConfig) -> bool:
    """Whether the network room gives it an address."""
    shared = config.network in ("none", "host") or config.network.startswith("container:")
    return not shared and "network" not in dict(config.join)
