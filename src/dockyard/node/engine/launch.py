"""Turns a container into what the runtime needs to make it."""

from __future__ import annotations

import os

from dockyard.base.errors import Conflict
from dockyard.base.oci.users import User
from dockyard.interfaces.ociruntime import HealthCheck, Launch, Log
from dockyard.node.engine import (
    devices,
    etcfiles,
    identity,
    mounts,
    oomscore,
    refresh,
    roots,
    spec,
)
from dockyard.node.engine.config import RUNNING, Container, ContainerConfig
from dockyard.node.engine.parts import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from dockyard.node.engine.system import Groups

NAMESPACE_FILES = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}


def plan(parts: Parts, container: Container, attached: bool) -> Launch:
    """Everything but the address, which the container gets when it has a network namespace.

    Whoever is attached to a container that vanishes with its end removes it.
    """
    config, places = container.config, parts.places
    state, upper = places.state(container.id), places.upper(container.id)
    stack = roots.stack_of(parts, container)
    layers = stack.lower
    wanted = config.devices
    if config.privileged and os.geteuid() == 0:
        wanted = (*devices.host_devices(), *wanted)
    nodes = devices.nodes(wanted)
    own = (
        _groups(places.cgroup(container.id, container.config.cgroup_parent))
        if config.system
        else None
    )
    place = spec.Place(
        root=places.root(container.id),
        cgroup=places.cgroup(container.id, container.config.cgroup_parent),
        binds=(*(own.binds if own else ()), *_binds(parts, container)),
        namespaces=tuple(_joined(parts, container)),
        delegated=own is not None and own.writable,
        devices=tuple(nodes),
        device_rules=tuple(devices.rules(wanted, nodes, config.device_rules)),
        init=devices.init_program() if config.init else "",
    )
    user = identity.at_start(config.user, upper, layers, config.group_names)
    if config.links:
        from dockyard.node.engine import linkvariables

        config = config._replace(env=(*linkvariables.of(parts, container), *config.env))
    document = spec.build_spec(config, user, etcfiles.hostname(container), place)
    if own:
        document["linux"]["resources"].update(own.resources)
    if config.resources.blkio_devices:
        blocks = document["linux"]["resources"].setdefault("blockIO", {})
        blocks.update(devices.limits(config.resources.blkio_devices))
    document["process"]["oomScoreAdj"] = oomscore.allowed(config.oom_score_adj, oomscore.to_stderr)
    if os.geteuid() != 0:
        _without_root(document, upper, layers)
    return Launch(
        id=container.id,
        spec=document,
        state_dir=state,
        run_dir=places.run(container.id),
        rootfs=None if config.pause else stack,
        log=None
        if config.log.kind == "none"
        else Log(
            config.log.path or places.log(container.id),
            "json-file" if config.log.kind == "local" else config.log.kind,
            config.log.max_bytes,
            config.log.max_files,
            _attributes(container),
        ),
        open_stdin=config.open_stdin,
        stdin_once=config.stdin_once,
        health=_health(config, user, container),
        runtime=config.runtime,
        on_exit=aftermath(parts, container, attached=attached),
    )


def _attributes(container: Container) -> str:
    if not container.config.log.options:
        return ""
    from dockyard.node.engine import logattributes  # few logs have options

    return logattributes.of(container)


def _groups(cgroup: str) -> Groups | None:
    """None: nobody delegates a group to this user, and an init has to do without."""
    from dockyard.base.linux import cgroupfs
    from dockyard.node.engine.system import groups

    layout = cgroupfs.layout()
    if os.geteuid() != 0 and not (layout.pure and cgroupfs.delegated()):
        return None
    return groups(cgroup, layout)


def _health(config: ContainerConfig, user: User, container: Container) -> HealthCheck | None:
    if config.health is None:
        return None
    from dockyard.node.engine import health  # most containers do without

    return health.check(config, user, etcfiles.hostname(container))


def _without_root(document: dict[str, Any], upper: str, layers: tuple[str, ...]) -> None:
    from dockyard.node.engine import rootless

    if lost := _discarded(document["linux"]["resources"]):
        oomscore.to_stderr(f"limits of {', '.join(lost)}: no control group is delegated to this "
                           "user: discarded; cgroup v2 with delegation has them")  # fmt: skip
    owners = [(layer, os.stat(layer).st_uid) for layer in layers]
    for note in rootless.adapt(document, rootless.ids(), owners):
        oomscore.to_stderr(note)
    binds = [mount for mount in document["mounts"] if mount.get("type") == "bind"]
    rootless.make_targets(
        upper, layers, [(mount["source"], mount["destination"]) for mount in binds]
    )


def _discarded(resources: dict[str, Any]) -> list[str]:
    """Take away what an ordinary user's container cannot have here, as rootless docker and podman
    do; what that was."""
    from dockyard.base.linux import cgroupfs

    if cgroupfs.layout().pure and cgroupfs.delegated():
        return []
    lost = sorted(name for name in resources if name != "devices" and resources[name])
    for name in lost:
        del resources[name]
    return lost


def aftermath(parts: Parts, container: Container, *, attached: bool) -> tuple[str, ...]:
    """What its monitor executes when it has ended: nothing where nobody needs to know."""
    config = container.config
    vanishes = config.auto_remove and not attached
    watched = bool(parts.aftermath) and (vanishes or config.restart.name not in ("no", ""))
    return (*parts.aftermath, "ended", container.id) if watched else ()


def _binds(parts: Parts, container: Container) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(source, target, options); the caller's come after ours, and so replace them."""
    for source, target in etcfiles.sources(parts.places, container):
        yield source, target, ("rbind", "rprivate")
    for mount in container.config.mounts:
        if mount.kind == "tmpfs":
            continue
        source = parts.volumes.path(mount.source) if mount.kind == "volume" else mount.source
        options = [option for option in mount.options if option not in (*mounts.OURS, "bind")]
        how = "bind" if "bind" in mount.options else "rbind"
        below = "rro" if how == "rbind" and mounts.WRITABLE_BELOW not in mount.options else "ro"
        yield source, mount.target, (how, "rprivate", *(("ro", below) if mount.read_only else ()),
                                     *options)  # fmt: skip


def _joined(parts: Parts, container: Container) -> Iterator[tuple[str, str]]:
    """(kind, path) of the namespaces of others."""
    wanted = dict(container.config.join)
    if container.config.network.startswith("container:"):
        wanted["network"] = container.config.network.removeprefix("container:")
    for kind, reference in wanted.items():
        if reference == "host":
            continue
        other = refresh.find(parts, reference)
        if other.status != RUNNING:
            raise Conflict(f"cannot join the {kind} namespace of a non running container: "
                           f"{other.name}; start it first")  # fmt: skip
        yield kind, f"/proc/{other.pid}/ns/{NAMESPACE_FILES[kind]}"
