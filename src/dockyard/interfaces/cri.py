"""What a kubelet asks of a container runtime: the CRI's calls and fields, in Python's case.

The in-process form of ``runtime.v1`` (k8s.io/cri-api). Every call is idempotent where the CRI says
so: stopping what is stopped and removing what is gone succeed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dockyard.base.errors import DockyardError

READY, NOT_READY = "SANDBOX_READY", "SANDBOX_NOTREADY"
CREATED, RUNNING, EXITED = "CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED"


class PullFailed(DockyardError):
    """The image could not be had; the message is the registry's."""


class StartError(DockyardError):
    """The program could not be executed."""


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """What a pod's /etc/resolv.conf says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


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
    labels: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the host inside a container."""

    container_path: str
    host_path: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class LinuxResources:
    """Limits; 0 is none. Memory in bytes, periods in microseconds."""

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


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as it is. Times are seconds since the epoch, 0 for what has not been."""

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
    """``Completed``, ``Error`` or ``OOMKilled``."""
    message: str
    image: str
    image_ref: str
    log_path: str


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What ``exec_sync`` found."""

    stdout: bytes
    stderr: bytes
    exit_code: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the node."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    user: str


class RuntimeService(Protocol):
    """Sandboxes and containers."""

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> str: ...

    async def stop_pod_sandbox(self, sandbox_id: str) -> None: ...

    async def remove_pod_sandbox(self, sandbox_id: str) -> None: ...

    async def list_pod_sandbox(self) -> list[PodSandboxStatus]: ...

    async def create_container(
        self, sandbox_id: str, config: ContainerConfig, sandbox: PodSandboxConfig
    ) -> str: ...

    async def start_container(self, container_id: str) -> None:
        """Raises :class:`StartError`."""

    async def stop_container(self, container_id: str, grace: float) -> None: ...

    async def remove_container(self, container_id: str) -> None: ...

    async def list_containers(self) -> list[ContainerStatus]: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], seconds: float
    ) -> ExecResult:
        """Raises ``TimeoutError``."""

    def get_container_events(self) -> AsyncIterator[ContainerStatus]:
        """Containers that have just ended."""

    async def version(self) -> tuple[str, str]:
        """Runtime name and version."""


class ImageService(Protocol):
    """Images of the node."""

    async def pull_image(self, image: str) -> Image:
        """Raises :class:`PullFailed`."""

    async def image_status(self, image: str) -> Image | None: ...

    async def list_images(self) -> list[Image]: ...

    async def remove_image(self, image: str) -> None: ...
