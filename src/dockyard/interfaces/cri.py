"""What a kubelet asks of a container runtime: the CRI's calls and fields, in Python's case.

The in-process form of ``runtime.v1`` (k8s.io/cri-api, api.proto). Every call may be repeated where
the CRI says so: stopping what is stopped and removing what is gone succeed. Times are seconds
since the epoch, 0 for what has not been; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dockyard.base.errors import DockyardError

READY, NOT_READY = "SANDBOX_READY", "SANDBOX_NOTREADY"
CREATED, RUNNING, EXITED = "CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED"
CREATED_EVENT, STARTED_EVENT = "CONTAINER_CREATED_EVENT", "CONTAINER_STARTED_EVENT"
STOPPED_EVENT, DELETED_EVENT = "CONTAINER_STOPPED_EVENT", "CONTAINER_DELETED_EVENT"


class PullFailed(DockyardError):
    """The image could not be had; the message is the registry's."""


class InvalidImageName(PullFailed):
    """What the pod calls an image is no reference."""


class RegistryUnavailable(PullFailed):
    """The registry does not answer."""


class SignatureRefused(PullFailed):
    """The runtime's policy takes no such image, or none without another signature."""


class SandboxFailed(DockyardError):
    """A sandbox could not be made; nothing of it is left."""


class CreateFailed(DockyardError):
    """A container could not be made; nothing of it is left."""


class StartFailed(DockyardError):
    """The program could not be executed; ``exit_code`` is what a shell would give."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """What a pod's /etc/resolv.conf says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the host that leads into a sandbox."""

    host_port: int
    container_port: int
    protocol: str = "TCP"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class PodSandboxConfig:
    """A pod's sandbox."""

    name: str
    namespace: str
    uid: str
    attempt: int
    hostname: str
    log_directory: str
    dns: DnsConfig = DnsConfig()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    port_mappings: tuple[PortMapping, ...] = ()
    host_aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(address, names): further lines of /etc/hosts."""
    domain: str = ""
    """What follows the hostname in its fully qualified form; empty: nothing does."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host inside a container."""

    container_path: str
    host_path: str
    readonly: bool = False
    sub_path: str = ""
    """Below ``host_path``, which it never leaves: what a link says is not followed outside."""


@dataclass(frozen=True, slots=True)
class LinuxResources:
    """Limits; 0 is none. Periods in microseconds."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory_limit: int = 0
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class SecurityContext:
    """Who a container runs as, with which rights."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    groups: tuple[int, ...] = ()
    privileged: bool = False
    readonly_rootfs: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    unconfined: bool = False


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """One container of a pod."""

    name: str
    attempt: int
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    log_path: str = ""
    """Relative to the sandbox's log directory."""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: LinuxResources = LinuxResources()
    security: SecurityContext = SecurityContext()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodSandboxStatus:
    """A sandbox as it is."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    state: str
    created_at: float
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as it is."""

    id: str
    sandbox_id: str
    pod_uid: str
    name: str
    attempt: int
    state: str
    created_at: float
    started_at: float
    finished_at: float
    exit_code: int
    reason: str
    """``Completed``, ``Error``, ``OOMKilled`` or ``StartError``."""
    message: str
    image: str
    image_ref: str
    log_path: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something has happened to a container, or to a sandbox."""

    container_id: str
    kind: str
    """One of the four ``_EVENT`` words above."""
    created_at: float
    pod_uid: str


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a container uses."""

    id: str
    pod_uid: str
    name: str
    timestamp: float
    cpu_nanoseconds: int
    """Of processor time, since it started."""
    memory_bytes: int
    """The working set: usage less inactive page cache."""
    memory_rss_bytes: int
    writable_layer_bytes: int


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What ``exec_sync`` found."""

    stdout: bytes
    stderr: bytes
    exit_code: int


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Which streams of a command or container a client wants."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the node."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    user: str
    os: str = "linux"


@dataclass(frozen=True, slots=True)
class FilesystemUsage:
    """What a file system that holds images has."""

    mountpoint: str
    timestamp: float
    used_bytes: int
    inodes_used: int


@dataclass(frozen=True, slots=True)
class RuntimeCondition:
    """``RuntimeReady`` or ``NetworkReady``."""

    kind: str
    status: bool
    reason: str = ""
    message: str = ""


class RuntimeService(Protocol):
    """Sandboxes and containers. An unknown id is :class:`dockyard.base.errors.NotFound`."""

    async def version(self) -> tuple[str, str]:
        """Runtime name and version."""

    async def status(self) -> tuple[RuntimeCondition, ...]: ...

    # sandboxes

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> str:
        """Its id. Raises :class:`SandboxFailed`."""

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill its containers, take its network away."""

    async def remove_pod_sandbox(self, sandbox_id: str) -> None: ...

    async def pod_sandbox_status(self, sandbox_id: str) -> PodSandboxStatus: ...

    async def list_pod_sandbox(self, pod_uid: str = "") -> list[PodSandboxStatus]: ...

    # containers

    async def create_container(
        self, sandbox_id: str, config: ContainerConfig, sandbox: PodSandboxConfig
    ) -> str:
        """Its id. Raises :class:`CreateFailed`."""

    async def start_container(self, container_id: str) -> None:
        """Raises :class:`StartFailed`."""

    async def stop_container(self, container_id: str, grace: float) -> None:
        """Its stop signal, and SIGKILL when it takes longer than ``grace`` seconds."""

    async def remove_container(self, container_id: str) -> None: ...

    async def list_containers(self, pod_uid: str = "") -> list[ContainerStatus]: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def update_container_resources(
        self, container_id: str, resources: LinuxResources
    ) -> None: ...

    async def reopen_container_log(self, container_id: str) -> None: ...

    async def container_stats(self, container_id: str) -> ContainerStats: ...

    async def list_container_stats(self) -> list[ContainerStats]: ...

    def get_container_events(self) -> AsyncIterator[ContainerEvent]:
        """What happens from now on."""

    # commands and streams

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], seconds: float
    ) -> ExecResult:
        """Raises ``TimeoutError`` after ``seconds`` (0: never); the command is killed then."""

    async def exec(
        self, container_id: str, command: tuple[str, ...], options: StreamOptions
    ) -> str:
        """The URL of a streaming server, for one client, for a minute."""

    async def attach(self, container_id: str, options: StreamOptions) -> str:
        """As :meth:`exec`."""

    async def port_forward(self, sandbox_id: str, ports: tuple[int, ...]) -> str:
        """As :meth:`exec`."""


@dataclass(frozen=True, slots=True, repr=False)
class AuthConfig:
    """Who a pull is to be made as. ``auth`` is base64 of ``username:password``."""

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    """A registry; credentials with another one are not shown."""
    identity_token: str = ""
    registry_token: str = ""


class ImageService(Protocol):
    """Images of the node."""

    async def pull_image(self, image: str, auth: AuthConfig | None = None) -> Image:
        """None: as whom the runtime itself is configured. Raises :class:`PullFailed`."""

    async def image_status(self, image: str) -> Image | None:
        """None where it is not there. Raises :class:`InvalidImageName`."""

    async def list_images(self) -> list[Image]: ...

    async def remove_image(self, image: str) -> None: ...

    async def image_fs_info(self) -> FilesystemUsage: ...
