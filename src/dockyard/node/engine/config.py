"""Turns what a caller wants of a container into one value that is stored with it.

NamedTuples rather than dataclasses: hot verbs import this, and dataclasses bring ``inspect``.
"""

from __future__ import annotations

from dockyard.base.typed import NamedTuple


class MountSpec(NamedTuple):
    """A bind mount or a volume inside the container."""

    kind: str
    """``bind``, ``volume`` or ``tmpfs``."""
    source: str
    """A path of the host, or a volume's name; an empty name is a volume of the container's own."""
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
    options: tuple[tuple[str, str], ...] = ()
    """As they were given, for whoever inspects the container."""


class RestartPolicy(NamedTuple):
    """Whether a container that has ended runs again."""

    name: str = "no"
    """``no``, ``on-failure``, ``always`` or ``unless-stopped``."""
    maximum: int = 0
    """How often ``on-failure`` tries; 0: without end."""


class HealthSpec(NamedTuple):
    """A command that says whether the program does its work. Times in seconds; 0: Docker's."""

    test: tuple[str, ...] = ()
    """``CMD`` and words, ``CMD-SHELL`` and a line, or ``NONE``; empty: the image's."""
    interval: float = 0.0
    timeout: float = 0.0
    retries: int = 0
    start_period: float = 0.0
    start_interval: float = 0.0


class Ulimit(NamedTuple):
    """A limit of each process: setrlimit(2); -1 is none."""

    name: str
    soft: int
    hard: int


class DeviceSpec(NamedTuple):
    """A device of the host that the container may use."""

    source: str
    target: str
    access: str
    """Of ``r``, ``w`` and ``m``."""


class DeviceLimit(NamedTuple):
    """A limit, or a weight, at one block device."""

    kind: str
    """A member of ``linux.resources.blockIO``: ``throttleReadBpsDevice`` and so on."""
    path: str
    value: int
    """Bytes or requests a second, or the weight."""


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
    cpuset_mems: str = ""
    swappiness: int = -1
    """0 to 100; -1: the machine's."""
    oom_kill_disable: bool = False
    blkio_weight: int = 0
    blkio_devices: tuple[DeviceLimit, ...] = ()
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    """Microseconds of real-time scheduling, where the kernel has it for groups."""


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
    ip: str = ""
    """The address that it shall have there; empty: one that is free."""
    ports: tuple[PortSpec, ...] = ()
    exposed: tuple[str, ...] = ()
    """Ports that the program listens on, ``80/tcp``: published only by ``publish_all``."""
    publish_all: bool = False
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    resources: Resources = Resources()
    shm_bytes: int = 0
    """Size of /dev/shm; 0 is Docker's 64 MiB."""
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
    """Namespaces of another container: (kind, that container's id, or ``host``)."""
    pause: bool = False
    """A pod's sandbox: the runtime's own pause loop instead of a program."""
    system: bool = False
    """A whole system: its program is an init, with the mounts and the signal that it expects."""
    restart: RestartPolicy = RestartPolicy()
    health: HealthSpec | None = None
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[DeviceSpec, ...] = ()
    device_rules: tuple[str, ...] = ()
    """Like ``c 1:3 rwm``."""
    group_names: tuple[str, ...] = ()
    """Further groups, to be found in the container's own /etc/group."""
    domainname: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    init: bool = False
    """A small first process that passes signals on and reaps, before the program."""
    runtime: str = ""
    """A runtime's program; empty: Dockyard's own."""
    mac: str = ""
    """Of its interface; empty: one that follows from its address."""
    aliases: tuple[str, ...] = ()
    """More names that others on its network know it by."""
    links: tuple[tuple[str, str], ...] = ()
    """(id of a container, alias) of those that it knows by name."""
    cgroup_parent: str = ""
    """The control group that its own lies in; empty: the data root's."""
    no_shm: bool = False
    """No /dev/shm: ``--ipc none``."""
    own_etc: bool = True
    """Whether /etc/hosts, /etc/hostname and /etc/resolv.conf are ours; a pod brings its own."""


CREATING, CREATED, STARTING = "creating", "created", "starting"
RUNNING, PAUSED, EXITED, REMOVING = "running", "paused", "exited", "removing"
RESTARTING = "restarting"
"""It has ended, and somebody waits to start it again."""
ALIVE = (RUNNING, PAUSED)
UNFINISHED = (CREATING, STARTING, REMOVING)
"""Written before a change of several steps. Its author holds the container's lock: where nobody
does, it crashed."""


class Container(NamedTuple):
    """A container, as the node knows it."""

    id: str
    name: str
    owner: str
    """``cli``, ``docker`` or ``cri``: who restarts and collects it."""
    created: float
    status: str
    """One of the words above."""
    config: ContainerConfig
    """The caller's and the image's, merged."""
    image_id: str = ""
    pid: int = 0
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    address: str = ""
    gateway: str = ""
    mac: str = ""
    prefix: int = 0
    ports: tuple[PortSpec, ...] = ()
    """As published: with the host ports that were chosen."""
    args: tuple[str, ...] = ()
    """What is executed: entrypoint and command."""
    own_volumes: tuple[str, ...] = ()
    """Volumes that nobody named: they can be removed with it."""
    restarts: int = 0
    """How often its policy has started it since somebody did."""
    delay: float = 0.0
    """Seconds before the next such start."""
    health_seen: float = 0.0
    """When its health changed as far as events tell of it."""
    stopped: bool = False
    """Somebody has asked it to end: its policy does not start it again."""
    driver: str = "overlay2"
    """How its root is made of its layers (:mod:`dockyard.base.linux.overlay`)."""

    @property
    def alive(self) -> bool:
        """Whether its program runs, or is frozen."""
        return self.status in ALIVE
