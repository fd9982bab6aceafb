"""Turns a container and a network's name into links, an address and published ports."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound
from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import instance_id
from dockyard.node.network import blocks, machine, rules, veth
from dockyard.node.network.leases import Lease, Leases, NetworkRow, Port
from dockyard.node.network.publisher import Publisher

DEFAULT = "bridge"
PREDEFINED = (DEFAULT, "host", "none")
FIRST_GUEST = 2
"""The first address of a block is the bridge's."""
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
PODS = "pods:"
"""Before the block, the name of a pod network's leases; no bridge is named so."""


class Connection(NamedTuple):
    """What a container has got."""

    address: str
    gateway: str
    ports: tuple[Port, ...]
    mac: str = ""
    prefix: int = 0


class BridgeNetworks:
    """The bridge networks of one data root. Synchronous; safe for threads and processes."""

    def __init__(self, data_root: str) -> None:
        self._instance = instance_id(data_root)
        self._leases = Leases(data_root)
        self._publisher = Publisher(self._instance, self._leases)

    # containers

    def attach(
        self,
        container_id: str,
        pid: int,
        network: str,
        ports: Iterable[Port],
        address: str = "",
        mac: str = "",
    ) -> Connection:
        """Connect the network namespace of a process. Raises; then nothing is left of it.

        ``address``: the one that it shall have; else the next free one. ``mac``: the same of its
        interface; else one that follows from the address.

        What the container had of this network before is given back first.
        """
        wanted = tuple(ports)
        row = self._ensure(network)
        stale = [lease for lease in self._leases.of(container_id) if lease.network == network]
        for lease in stale:
            self._give_back(lease)
        if not wanted:
            return self._attach(row, container_id, pid, None, (), address, mac)
        with machine.alone(), Nft() as nft:
            return self._attach(row, container_id, pid, nft, wanted, address, mac)

    def _attach(
        self,
        row: NetworkRow,
        holder: str,
        pid: int,
        nft: Nft | None,
        wanted: tuple[Port, ...],
        address: str,
        mac: str,
    ) -> Connection:
        choose = self._publisher.chooser(nft, wanted) if nft else _no_ports
        lease = self._leases.take(holder, row.name, row.subnet, FIRST_GUEST, choose, wanted=address)
        try:
            with veth.reported(row.name, holder):
                made = self._connect(row, lease, pid, mac)
            if nft:
                self._publisher.publish(nft, lease)
        except BaseException:
            with contextlib.suppress(DockyardError, OSError):  # the first error is the one to tell
                self._disconnect(lease, nft)
            raise
        return made

    def _connect(self, row: NetworkRow, lease: Lease, pid: int, mac: str) -> Connection:
        block = ipaddress.ip_network(row.subnet)
        gateway = str(block[1])
        namespace = veth.namespace_of(pid)
        try:
            with Netlink() as host:
                bridge = host.link(self._bridge(row))
                name = self._link(lease)
                index = veth.connect(host, name, namespace, lease.address, bridge.mtu, mac)
                host.set_link(index, master=bridge.number, up=True)
                if (
                    lease.ports
                ):  # where br_netfilter is on, a guest's own port is bridged, not routed
                    host.set_hairpin(index)
            veth.configure_guest(namespace, lease.address, block.prefixlen, gateway, None)
        finally:
            os.close(namespace)
        mac = mac or veth.mac_text(veth.mac_of(lease.address, 1))
        return Connection(lease.address, gateway, lease.ports, mac, block.prefixlen)

    def gateway(self, network: str) -> str:
        """The address under which this machine is seen from a network, which is made if need be."""
        block = ipaddress.ip_network(self._ensure(network).subnet)
        return str(block[1])

    def detach(self, container_id: str) -> None:
        """Give back all addresses, links and ports of a container; an unknown one is fine."""
        for lease in self._leases.of(container_id):
            if not lease.network.startswith(PODS):
                self._give_back(lease)

    def _give_back(self, lease: Lease) -> None:
        if not lease.ports:
            self._disconnect(lease, None)
            return
        with machine.alone(), Nft() as nft:
            self._disconnect(lease, nft)

    def _disconnect(self, lease: Lease, nft: Nft | None) -> None:
        if nft:
            self._publisher.unpublish(nft, lease)
        with Netlink() as host:
            host.delete_link(self._link(lease))
        self._leases.release([lease.number])

    # networks

    def create(self, name: str, subnet: str = "") -> NetworkRow:
        """A network of its own. Raises :class:`Conflict` for a name or block that is in use."""
        if name in PREDEFINED:
            raise Conflict(f"operation is not permitted on predefined {name} network")
        if not NAME.fullmatch(name):
            raise Invalid(f"network {name!r}: not a name; use letters, digits, '_', '.' and '-'")
        return self._make(name, subnet)

    def remove(self, name: str) -> None:
        """Remove a network that no container is on."""
        if name in PREDEFINED:
            raise Invalid(f"{name} is a pre-defined network and cannot be removed")
        row = self._leases.remove_network(name)
        with machine.alone(), Nft() as nft, Netlink() as host:
            host.delete_link(self._bridge(row))
            with contextlib.suppress(DockyardError):  # the table went with a reboot
                nft.run(rules.remove_subnet(self._instance, row.subnet, self._bridge(row)))

    def list(self) -> list[NetworkRow]:
        """Every network that has been used."""
        return self._leases.networks()

    def leases(self, name: str) -> tuple[Lease, ...]:
        """Who is on a network, and where."""
        return tuple(lease for lease in self._leases.all() if lease.network == name)

    # the whole

    def gc(self, valid: Callable[[], Collection[str]]) -> None:
        """At a start: what crashed runs have left goes, what a reboot has taken comes back.

        ``valid``: containers that may still hold something; asked for after their leases, which
        are always the younger ones.
        """
        leases = [x for x in self._leases.all() if not x.network.startswith(PODS)]
        alive = valid()
        for lease in leases:
            if lease.holder not in alive:
                self._give_back(lease)
        with Netlink() as host:
            found = veth.links_of(host, self._instance, veth.BRIDGE + veth.BRIDGED)
            rows = self._leases.networks()
            keep = {self._bridge(row) for row in rows} | {self._link(x) for x in self._leases.all()}
            for name in set(found) - keep:
                host.delete_link(name)
        if rows:
            with machine.alone(), Nft() as nft:
                for row in rows:
                    self._build(row)
                self._publisher.rebuild(nft)

    def teardown(self) -> None:
        """Remove every link and rule of this data root's bridges, whoever made it."""
        with Netlink() as host:
            for name in veth.links_of(host, self._instance, veth.BRIDGE + veth.BRIDGED):
                host.delete_link(name)
        with machine.alone(), Nft() as nft:
            self._publisher.remove(nft)
        leases = [x for x in self._leases.all() if not x.network.startswith(PODS)]
        self._leases.release(lease.number for lease in leases)

    def _ensure(self, name: str) -> NetworkRow:
        row = self._leases.network(name)
        if row is None:
            if name != DEFAULT:
                raise NotFound(f"network {name} not found")
            try:
                return self._make(name, "")
            except Conflict:
                row = self._leases.network(name)  # somebody else has just made it
                if row is None:
                    raise
        if not veth.exists(self._bridge(row)):  # after a reboot
            with machine.alone(), Nft() as nft:
                self._build(row)
                self._publisher.rebuild(nft)
        return row

    def _make(self, name: str, subnet: str) -> NetworkRow:
        with machine.alone(), Nft() as nft:
            with Netlink() as host:
                routes = host.routes()

            def choose(used: Iterable[str]) -> str:
                taken = [*routes, *used]
                return blocks.checked_block(subnet, taken) if subnet else blocks.free_block(taken)

            row = self._leases.add_network(name, choose)
            try:
                self._build(row)
                self._publisher.rebuild(nft)
            except BaseException:
                self._leases.remove_network(name)
                with Netlink() as host:
                    host.delete_link(self._bridge(row))
                raise
        return row

    def _build(self, row: NetworkRow) -> None:
        """The bridge, as it should be: also one that is there already."""
        block, bridge = ipaddress.ip_network(row.subnet), self._bridge(row)
        own = f"{block[1]}/{block.prefixlen}"
        with Netlink() as host:
            with contextlib.suppress(FileExistsError):
                host.add_link(bridge, "bridge", f"dockyard {self._instance} {row.name}")
            index = host.index(bridge)
            for other in host.addresses(index):
                if ":" not in other and other != own:  # of an earlier data root at this path
                    address, _, prefix = other.partition("/")
                    host.delete_address(index, address, int(prefix))
            host.add_address(index, str(block[1]), block.prefixlen)
            host.set_link(index, mtu=veth.mtu(host))
            veth.host_end(bridge)
            host.set_link(index, up=True)
        veth.set_sysctl("net/ipv4/ip_forward", "1")
        veth.set_sysctl(f"net/ipv4/conf/{bridge}/route_localnet", "1")

    def _bridge(self, row: NetworkRow) -> str:
        return veth.link_name(self._instance, veth.BRIDGE, row.number)

    def _link(self, lease: Lease) -> str:
        return veth.link_name(self._instance, veth.BRIDGED, lease.number)


def _no_ports(held: tuple[Port, ...]) -> tuple[Port, ...]:
    return ()
