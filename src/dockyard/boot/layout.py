"""Turns a data root into the paths of its cluster and into the settings that it keeps.

``cluster/config.json`` is written once, at the first ``up``: addresses and ports that were free
then stay the cluster's for good, so that a restart changes nothing for its clients.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from dockyard.base.errors import Conflict, Corrupt
from dockyard.base.oci.instance import default_root, instance_id, run_path

__all__ = ["HostView", "Layout", "Settings", "choose", "load", "look_at_host", "replace", "save"]

DEFAULT_RELEASE = "1.33"
POD_BLOCKS = "10.244.0.0/16"
SERVICE_BLOCKS = "10.96.0.0/16"
LONGEST_PREFIX = 24
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster keeps what. Nothing is made until somebody writes."""

    data_root: Path

    @property
    def instance(self) -> str:
        return instance_id(self.data_root)

    @property
    def flag(self) -> str:
        """What a command needs to mean this one: nothing, where it is the default."""
        return "" if str(self.data_root) == default_root() else f" --data-dir {self.data_root}"

    @property
    def cluster(self) -> Path:
        return self.data_root / "cluster"

    @property
    def pki(self) -> Path:
        return self.cluster / "pki"

    @property
    def store(self) -> Path:
        return self.cluster / "store.db"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, 0600."""
        return self.cluster / "kubeconfig"

    @property
    def config(self) -> Path:
        return self.cluster / "config.json"

    @property
    def logs(self) -> Path:
        return self.cluster / "logs"

    @property
    def pods(self) -> Path:
        """The kubelet's: volumes and logs of pods."""
        return self.cluster / "pods"

    @property
    def memory(self) -> Path:
        """In memory: what of pods must not be written to a disk."""
        return Path(run_path(self.data_root)) / "pods"

    @property
    def images(self) -> Path:
        return self.data_root / "images"

    @property
    def local_volumes(self) -> Path:
        """Where the ``local-path`` provisioner puts PersistentVolumes."""
        return self.cluster / "local-path"

    @property
    def lock(self) -> Path:
        """Held by the supervisor; holds its pid."""
        return self.cluster / "supervisor.lock"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a cluster is set to. Ports are TCP ports on every address of the machine."""

    release: str
    node_name: str
    node_address: str
    api_port: int
    kubelet_port: int
    ingress_port: int
    pod_cidr: str
    service_cidr: str
    domain: str = "cluster.local"

    def __post_init__(self) -> None:
        """``ValueError`` for what can be no cluster's."""
        for field in fields(self):
            if not isinstance(getattr(self, field.name), int if "port" in field.name else str):
                raise TypeError(f"{field.name}: {getattr(self, field.name)!r}")
        for port in (self.api_port, self.kubelet_port, self.ingress_port):
            if not 0 < port < 65536:
                raise ValueError(f"port {port}: not between 1 and 65535")
        ipaddress.IPv4Address(self.node_address)
        blocks = [ipaddress.IPv4Network(self.pod_cidr), ipaddress.IPv4Network(self.service_cidr)]
        if blocks[0].overlaps(blocks[1]):
            raise ValueError(f"{blocks[0]} and {blocks[1]}: pods and Services overlap")
        if max(block.prefixlen for block in blocks) > LONGEST_PREFIX:
            raise ValueError(f"{blocks[0]}, {blocks[1]}: smaller than a /{LONGEST_PREFIX}")
        for name in (self.node_name, self.domain):
            if not DNS_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: not a DNS name in lower case")

    @property
    def dns_address(self) -> str:
        """The tenth address of the Service block, as kubeadm has it."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def api_service_address(self) -> str:
        """The first address of the Service block: ``kubernetes.default``."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def api_url(self) -> str:
        """Where this machine's own programs find the API."""
        return f"https://127.0.0.1:{self.api_port}"


def load(layout: Layout) -> Settings | None:
    """The settings that a cluster keeps; None where there is no cluster yet."""
    try:
        text = layout.config.read_text()
    except FileNotFoundError:
        return None
    try:
        return Settings(**json.loads(text))
    except (ValueError, TypeError) as error:
        wanted = ", ".join(field.name for field in fields(Settings))
        raise Corrupt(f"cluster config: {layout.config}: {error}; it holds {wanted}") from error


def save(layout: Layout, settings: Settings) -> None:
    """Write the settings so that a crash leaves the old ones or the new ones."""
    layout.cluster.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = layout.config.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(asdict(settings), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(layout.config)


def choose(host: HostView) -> Settings:
    """Settings for a new cluster on this machine: the defaults, or the next that are free."""
    taken: set[int] = set()

    def port(first: int) -> int:
        for number in range(first, first + 1000):
            if number not in taken and host.port_is_free(number):
                taken.add(number)
                return number
        raise Conflict(f"up: ports {first} to {first + 999}: all taken; free one")

    return Settings(
        release=DEFAULT_RELEASE,
        node_name=host.name,
        node_address=host.address,
        api_port=port(6443),
        kubelet_port=port(10250),
        ingress_port=port(80) if host.port_is_free(80) else port(8080),
        pod_cidr=free_block(POD_BLOCKS, host.routes),
        service_cidr=free_block(SERVICE_BLOCKS, host.routes),
    )


def free_block(first: str, routes: Iterable[str]) -> str:
    """The first /16 from ``first`` on (second number counting up) that overlaps no route."""
    networks = [ipaddress.ip_network(route) for route in routes]
    block = ipaddress.ip_network(first)
    for offset in range(256):
        second = (int(block.network_address) >> 16 & 0xFF) + offset
        candidate = ipaddress.ip_network(f"10.{second % 256}.0.0/16")
        if not any(candidate.overlaps(network) for network in networks):
            return str(candidate)
    raise Conflict(f"up: {first}: no /16 of 10.0.0.0/8 is free of routes; set one in the config")


@dataclass(frozen=True, slots=True)
class HostView:
    """What a new cluster must know of its machine."""

    name: str
    address: str
    routes: tuple[str, ...]
    port_is_free: Callable[[int], bool]


def look_at_host() -> HostView:
    """This machine, as a new cluster sees it."""
    return HostView(
        name=socket.gethostname().lower(),
        address=_own_address(),
        routes=tuple(_routes(Path("/proc/net/route").read_text())),
        port_is_free=_port_is_free,
    )


def _routes(table: str) -> Iterable[str]:
    """Destinations of /proc/net/route (proc(5)): hexadecimal, in the machine's byte order."""
    for line in table.splitlines()[1:]:
        words = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(words[i])[::-1]) for i in (1, 7))
        if mask:
            address = ipaddress.ip_address(destination)
            yield f"{address}/{mask.bit_count()}"


def _own_address() -> str:
    """The address that the default route leaves from; loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # a datagram socket's connect sends nothing
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def _port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - the question is whether anybody has it
        except OSError:
            return False
        return True
