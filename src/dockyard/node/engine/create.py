"""Turns a configuration into a container that does not run yet."""

from __future__ import annotations

import os

from dockyard.base.errors import Conflict, Invalid, NotFound
from dockyard.base.linux import storagedriver
from dockyard.node.engine import etcfiles, event, hostnames, mounts, remove, roots, spec
from dockyard.node.engine.config import CREATED, CREATING, STARTING, Container, ContainerConfig
from dockyard.node.engine.database import NameTaken
from dockyard.node.engine.effective import effective, program
from dockyard.node.engine.names import random_name
from dockyard.node.engine.parts import Parts

TRIES = 100


def create(parts: Parts, config: ContainerConfig, name: str, owner: str) -> Container:
    """A container that somebody may start later."""
    container_id = new_id()
    with parts.locks.hold(container_id):
        return make(parts, container_id, config, name, owner, CREATED)


def new_id() -> str:
    """64 hex digits, as Docker's. The first twelve are the host name, and no number: one of
    digits alone would be taken for an address by whoever looks it up."""
    while True:
        found = os.urandom(32).hex()
        if not found[:12].isdecimal():
            return found


def make(
    parts: Parts, container_id: str, config: ContainerConfig, name: str, owner: str, status: str
) -> Container:
    """Under the new container's lock. The row that reserves the name comes first, then what it
    speaks of, then the row is whole and has its ``status``."""
    if name and not is_name(name):
        raise Invalid(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    config = check(parts, config)
    draft = Container(container_id, "", owner, parts.clock(), CREATING, config)
    draft = reserve(parts, draft, name)
    try:
        # What only waits to be started is there after a restart of the machine.
        lasting = not config.auto_remove or status != STARTING
        root = roots.lease_root(
            parts.images, config.image, config.rootfs, container_id, lasting=lasting
        )
        asked = effective(config, root.image)
        if asked.system:
            asked = booted(config, asked, root.layers)
        planned = mounts.plan(asked.mounts)
        container = draft._replace(
            config=asked._replace(mounts=planned),
            image_id=root.image_id,
            args=program(asked),
            own_volumes=tuple(mounts.own_volumes(asked.mounts, planned)),
        )
        check(parts, container.config)
        if container.own_volumes:
            parts.database.update(container)
        make_folders(parts, container_id)
        if not container.config.pause:
            container = container._replace(driver=storagedriver.chosen(parts.places.data_root).name)
            roots.fill(root.layers, parts.places.upper(container_id), container.driver)
        mounts.prepare(planned, root.layers, parts.volumes)
        container = container._replace(status=status)
        hostnames.linked(parts, container)
        parts.database.update(container, event.of(container, "create", container.created))
    except BaseException:
        remove.erase(parts, parts.database.get(container_id) or draft, volumes=True)
        raise
    return container


def booted(
    config: ContainerConfig, asked: ContainerConfig, layers: tuple[str, ...]
) -> ContainerConfig:
    """As a system: the image's own program is none, what the caller names is."""
    from dockyard.node.engine.system import boot

    own = asked._replace(entrypoint=config.entrypoint, command=config.command)
    return boot(own, layers)


def reserve(parts: Parts, draft: Container, name: str) -> Container:
    """Insert the row; without a name, under the first random one that nobody has."""
    for _ in range(TRIES):
        chosen = draft._replace(name=name or random_name(parts.chance))
        try:
            parts.database.insert(chosen)
        except NameTaken:
            if name:
                raise
            continue
        return chosen
    named = draft._replace(name=f"{random_name(parts.chance)}_{draft.id[:6]}")
    parts.database.insert(named)
    return named


def make_folders(parts: Parts, container_id: str) -> None:
    """Where the container's changes go: nobody else on the host may come by, for programs in it
    may be another user's when they run (CVE-2021-41091)."""
    state = parts.places.state(container_id)
    os.makedirs(parts.places.containers, 0o700, exist_ok=True)
    os.mkdir(state, 0o700)
    for folder in ("upper", "work", "rootfs"):
        os.mkdir(os.path.join(state, folder), 0o700)
    # the mode of the container's own "/"
    os.chmod(parts.places.upper(container_id), 0o755)  # noqa: S103


def check(parts: Parts, config: ContainerConfig) -> ContainerConfig:
    """Refuse what can never start. The container whose network is joined is named by its id."""
    etcfiles.check(config)
    spec.check(config)
    config = config._replace(links=tuple(_link(parts, *link) for link in config.links))
    if not config.network.startswith("container:"):
        return config
    for given, what, mode in (
        (config.hostname, "hostname", "network mode"), (config.dns, "dns", "network mode"),
        (config.extra_hosts, "custom host-to-IP mapping", "network mode"),
        (config.ports, "port publishing", "container type network mode"),
    ):  # fmt: skip
        if given and not config.join:
            raise Conflict(f"conflicting options: {what} and the {mode}")
    other = parts.database.find(config.network.removeprefix("container:"))
    return config._replace(network=f"container:{other.id}")


def _link(parts: Parts, name: str, alias: str) -> tuple[str, str]:
    try:
        return parts.database.find(name).id, alias
    except NotFound as error:
        raise NotFound(f"could not get container for {name}: {error}") from None


def is_name(name: str) -> bool:
    """``[a-zA-Z0-9][a-zA-Z0-9_.-]+``."""
    rest = name[1:].replace("_", "").replace(".", "").replace("-", "")
    return name.isascii() and name[0].isalnum() and (not rest or rest.isalnum()) and len(name) > 1
