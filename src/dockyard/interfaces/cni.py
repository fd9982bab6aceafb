"""Turns a sandbox into one with an address: what the CRI asks of the pod network.

The verbs and the result are those of the Container Network Interface specification 1.1; a plugin's
executable form says the same in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol


class Interface(NamedTuple):
    """A link that was made."""

    name: str
    mac: str
    sandbox: str = ""
    """The path of its network namespace; empty for the host's end."""
    mtu: int = 0


class Ip(NamedTuple):
    """An address of an interface."""

    address: str
    """With its prefix: ``10.1.0.2/32``."""
    gateway: str = ""
    interface: int | None = None
    """Its place in the result's ``interfaces``."""


class Route(NamedTuple):
    """A route in the sandbox."""

    dst: str
    """With its prefix."""
    gw: str = ""


class PortMapping(NamedTuple):
    """The ``portMappings`` capability: a port of the host that leads to the sandbox."""

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""


class Result(NamedTuple):
    """What ``ADD`` gives."""

    interfaces: tuple[Interface, ...]
    ips: tuple[Ip, ...]
    routes: tuple[Route, ...] = ()

    @property
    def address(self) -> str:
        """The first address, without its prefix; empty where there is none."""
        return self.ips[0].address.partition("/")[0] if self.ips else ""

    @property
    def gateway(self) -> str:
        """The first address's way out."""
        return self.ips[0].gateway if self.ips else ""


class Network(Protocol):
    """A pod network. Synchronous; each call may be repeated."""

    def prepare(self) -> None:
        """What the node needs before the first pod; again after a reboot."""

    def add(self, sandbox_id: str, pid: int, ports: tuple[PortMapping, ...] = ()) -> Result:
        """Connect the network namespace of a sandbox's first process."""

    def check(self, sandbox_id: str, pid: int) -> None:
        """Raises if the sandbox is not connected as ``add`` has left it."""

    def delete(self, sandbox_id: str) -> None:
        """Disconnect; an unknown sandbox is fine."""

    def gc(self, valid: Callable[[], Collection[str]]) -> None:
        """Remove what is held by sandboxes that are none of these."""

    def address(self, sandbox_id: str) -> str:
        """A sandbox's address; empty where it has none."""
