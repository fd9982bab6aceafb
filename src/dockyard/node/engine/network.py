"""What the engine asks of the network room: an address for a container, and its end. A Protocol."""

from __future__ import annotations

from dockyard.base.typed import NamedTuple, Protocol
from dockyard.node.engine.config import PortSpec


class Attachment(NamedTuple):
    """What a container has got."""

    address: str
    """IPv4, without prefix; empty where the network gives none."""
    gateway: str
    ports: tuple[PortSpec, ...]
    """With the host ports that were chosen."""
    mac: str = ""
    prefix: int = 0
    """Bits of the network's block."""


class Network(Protocol):
    """Connects containers. Every call is one change that a crash leaves done or undone."""

    def attach(
        self,
        container_id: str,
        pid: int,
        network: str,
        ports: tuple[PortSpec, ...],
        address: str = "",
        mac: str = "",
    ) -> Attachment:
        """Connect the network namespace of a process; with ``address`` and ``mac``, if they are
        wanted."""

    def detach(self, container_id: str) -> None:
        """Give back the address, the links and the ports; unknown ids are fine."""
