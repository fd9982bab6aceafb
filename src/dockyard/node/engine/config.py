"""Turns what a caller wants of a container into one value that is stored with it.

NamedTuples rather than dataclasses: hot verbs import this, and dataclasses bring ``inspect``.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class MountSpec(NamedTuple):
    """A bind mount or a volume inside the container."""

    kind: str
    """``bind``, ``volume`` or ``tmpfs``."""
    source: str
    """A path of the host, or a volume's name."""
    target: str
    read_only: bool = False
    options: tuple[str, ...] = ()


class PortSpec(NamedTuple):
    """A published port."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int
    """0: one that is free."""


class LogSpec(NamedTuple):
    """Where output goes."""

    kind: str = "json-file"
    path: str = ""
    """Empty: in the container's own folder."""
    max_bytes: int = 0
    max_files: int = 1


class Resources(NamedTuple):
    """Limits; 0 is none. Memory in bytes, CPU in billionths of a processor."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset: str = ""
    pids: int = 0


class ContainerConfig(NamedTuple):
    """All that a container is made from. Empty means: what the image says, or Docker's default."""

    image: str = ""
    rootfs: str = ""
    """A directory that is the read-only lower layer, instead of an image."""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    hostname: str = ""
    terminal: bool = False
    size: tuple[int, int] | None = None
    open_stdin: bool = False
    stdin_once: bool = False
    auto_remove: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    network: str = "bridge"
    """A network's name, ``none``, ``host``, or ``container:ID``."""
    ports: tuple[PortSpec, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    resources: Resources = Resources()
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    stop_signal: str = ""
    stop_timeout: int = 10
    oom_score_adj: int | None = None
    sysctls: tuple[tuple[str, str], ...] = ()
    log: LogSpec = LogSpec()
    join: tuple[tuple[str, str], ...] = ()
    """Namespaces of another container: (kind, that container's id)."""
    pause: bool = False
    """A pod's sandbox: the runtime's own pause loop instead of a program."""
    own_etc: bool = True
    """Whether /etc/hosts, /etc/hostname and /etc/resolv.conf are ours; a pod brings its own."""

    def to_json(self) -> list[Any]:
        """For the database."""
        return list(self)


def config_from_json(fields: list[Any]) -> ContainerConfig:
    """What :meth:`ContainerConfig.to_json` wrote."""
    config = ContainerConfig(*fields)
    return config._replace(
        entrypoint=None if config.entrypoint is None else tuple(config.entrypoint),
        command=tuple(config.command),
        env=tuple(config.env),
        labels=tuple((key, value) for key, value in config.labels),
        mounts=tuple(MountSpec(*mount) for mount in config.mounts),
        ports=tuple(PortSpec(*port) for port in config.ports),
        resources=Resources(*config.resources),
        log=LogSpec(*config.log),
        join=tuple((kind, other) for kind, other in config.join),
        sysctls=tuple((key, value) for key, value in config.sysctls),
        extra_hosts=tuple(config.extra_hosts),
        dns=tuple(config.dns),
        cap_add=tuple(config.cap_add),
        cap_drop=tuple(config.cap_drop),
        security_opt=tuple(config.security_opt),
        groups=tuple(config.groups),
        size=None if config.size is None else (config.size[0], config.size[1]),
    )


class Container(NamedTuple):
    """A container, as the node knows it."""

    id: str
    name: str
    owner: str
    """``cli``, ``docker`` or ``cri``: who restarts and collects it."""
    created: float
    status: str
    """``created``, ``running``, ``paused``, ``exited``."""
    config: ContainerConfig
    image_id: str = ""
    pid: int = 0
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    address: str = ""
    ports: tuple[PortSpec, ...] = ()
    """As published: with the host ports that were chosen."""
    args: tuple[str, ...] = ()
    """What is executed: entrypoint and command, from the image or the caller."""
