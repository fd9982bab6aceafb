"""Turns a container and a network's name into links, an address and published ports."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable
from typing import NamedTuple

from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft, RuleError
from dockyard.base.oci.instance import instance_id
from dockyard.node.network import rules, veth
from dockyard.node.network.leases import Lease, Leases, NetworkRow, Port

DEFAULT = "bridge"
BLOCKS = [f"172.{second}.0.0/16" for second in range(17, 32)] + [
    f"192.168.{third}.0/20" for third in range(0, 256, 16)
]
"""Where Docker looks for a block, in its order."""
FIRST_GUEST = 2
"""The first address of a block is the bridge's."""


class Connection(NamedTuple):
    """What a container has got."""

    address: str
    gateway: str
    ports: tuple[Port, ...]


class BridgeNetworks:
    """The bridge networks of one data root. Synchronous; safe for threads and processes."""

    def __init__(self, data_root: str) -> None:
        self._instance = instance_id(data_root)
        self._leases = Leases(data_root)

    def attach(
        self, container_id: str, pid: int, network: str, ports: Iterable[Port]
    ) -> Connection:
        """Connect the network namespace of a process. Raises; then nothing is left of it."""
        row = self._ensure(network)
        chosen = tuple(_choose(port) for port in ports)
        lease = self._leases.take(container_id, row.name, row.subnet, FIRST_GUEST, chosen)
        try:
            return self._connect(row, lease, pid)
        except BaseException:
            with contextlib.suppress(DockyardError):
                self.detach(container_id)
            raise

    def _connect(self, row: NetworkRow, lease: Lease, pid: int) -> Connection:
        block = ipaddress.ip_network(row.subnet)
        gateway = str(block[1])
        namespace = veth.namespace_of(pid)
        try:
            with Netlink() as host:
                index = veth.connect(host, self._link(lease), namespace, lease.address)
                host.set_link(index, master=host.index(self._bridge(row)), up=True)
            veth.configure_guest(namespace, lease.address, block.prefixlen, gateway, None)
        finally:
            os.close(namespace)
        if lease.ports:
            Nft().run(rules.publish(self._instance, lease.address, lease.ports))
        return Connection(lease.address, gateway, lease.ports)

    def detach(self, container_id: str) -> None:
        """Give back a container's address, link and ports; an unknown one is fine."""
        lease = self._leases.find(container_id)
        if lease is None:
            return
        with Netlink() as host:
            host.delete_link(self._link(lease))
        if lease.ports:
            with contextlib.suppress(RuleError):  # the table went with a reboot
                Nft().run(rules.unpublish(self._instance, lease.address, lease.ports))
        self._leases.release(container_id)

    def create(self, name: str, subnet: str = "") -> NetworkRow:
        """A network of its own."""
        if self._leases.network(name):
            raise Conflict(f"network with name {name} already exists")
        return self._make(name, subnet)

    def remove(self, name: str) -> None:
        """Remove a network that no container is on."""
        if name in (DEFAULT, "host", "none"):
            raise Invalid(f"{name} is a pre-defined network and cannot be removed")
        row = self._leases.remove_network(name)
        with Netlink() as host:
            host.delete_link(self._bridge(row))

    def list(self) -> list[NetworkRow]:
        """Every network that has been used."""
        return self._leases.networks()

    def teardown(self) -> None:
        """Remove every link and rule of this data root, whoever made it."""
        with Netlink() as host:
            for link in host.links():
                if link.name.startswith((f"dy{self._instance}b", f"dy{self._instance}v")):
                    host.delete_link(link.name)
        Nft().delete_table("inet", rules.table_name(self._instance))
        for lease in self._leases.all():
            self._leases.release(lease.holder)

    def _ensure(self, name: str) -> NetworkRow:
        row = self._leases.network(name)
        if row is None:
            if name != DEFAULT:
                raise NotFound(f"network {name} not found")
            return self._make(name, "")
        if not os.path.isdir(f"/sys/class/net/{self._bridge(row)}"):
            self._build(row)  # after a reboot
        return row

    def _make(self, name: str, subnet: str) -> NetworkRow:
        with Netlink() as host:
            used = [*host.routes(), *(row.subnet for row in self._leases.networks())]
        row = self._leases.add_network(name, subnet or free_block(used))
        self._build(row)
        return row

    def _build(self, row: NetworkRow) -> None:
        block, bridge = ipaddress.ip_network(row.subnet), self._bridge(row)
        with Netlink() as host:
            with contextlib.suppress(FileExistsError):
                host.add_link(bridge, "bridge", f"dockyard {self._instance} {row.name}")
            index = host.index(bridge)
            host.add_address(index, str(block[1]), block.prefixlen)
            host.set_link(index, up=True)
        veth.set_sysctl("net/ipv4/ip_forward", "1")
        veth.set_sysctl(f"net/ipv4/conf/{bridge}/route_localnet", "1")
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            veth.set_sysctl(f"net/ipv6/conf/{bridge}/accept_ra", "0")
        commands = rules.base(self._instance)
        for each in self._leases.networks():
            commands += rules.add_subnet(self._instance, each.subnet, self._bridge(each))
        for lease in self._leases.all():
            commands += rules.publish(self._instance, lease.address, lease.ports)
        Nft().run(commands)

    def _bridge(self, row: NetworkRow) -> str:
        return veth.link_name(self._instance, "b", row.number)

    def _link(self, lease: Lease) -> str:
        return veth.link_name(self._instance, "v", lease.number)


def free_block(used: Iterable[str]) -> str:
    """The first of Docker's blocks that overlaps nothing in use."""
    networks = [ipaddress.ip_network(block) for block in used]
    for candidate in map(ipaddress.ip_network, BLOCKS):
        if not any(candidate.overlaps(network) for network in networks):
            return str(candidate)
    raise Conflict("network: all predefined address pools have been fully subnetted")


def _choose(port: Port) -> Port:
    """A port with its host port: the one asked for if nobody has it, or a free one."""
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host_ip or rules.ANY, port.host_port))
        except OSError as error:
            raise Conflict(
                f"Bind for {port.host_ip or rules.ANY}:{port.host_port} failed: port is already "
                f"allocated ({error.strerror})"
            ) from error
        return port._replace(host_port=probe.getsockname()[1])
