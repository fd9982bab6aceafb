"""Turns a pod's sandbox into a routed pair of links: one address, no bridge.

The pod's end has its address as /32 and sends everything to 169.254.1.1, which nobody has: a fixed
neighbour says that the host's end answers for it. The host has one route a pod. So what a pod sends
is always routed, and Services and policies need no bridge netfilter.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Callable, Collection

from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.base.net.netlink import Netlink, open_in
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import instance_id
from dockyard.interfaces.cni import Interface, Ip, PortMapping, Result, Route
from dockyard.node.network import machine, podrules, veth
from dockyard.node.network.leases import Lease, Leases, Port
from dockyard.node.network.publisher import Publisher

GATEWAY = "169.254.1.1"
NETWORK = "pods:"
FIRST_POD = 2


class RoutedPods:
    """The pod network of one node: an implementation of :class:`interfaces.cni.Network`."""

    def __init__(self, data_root: str, pod_cidr: str, cluster_cidrs: tuple[str, ...]) -> None:
        """``cluster_cidrs``: blocks that a pod reaches with its own address, unmasqueraded."""
        self._instance = instance_id(data_root)
        self._leases = Leases(data_root)
        self._publisher = Publisher(self._instance, self._leases)
        self._cidr = str(_block(pod_cidr))
        self._inside = tuple(str(_block(cidr)) for cidr in cluster_cidrs)
        self._network = NETWORK + self._cidr
        self._mtu = 0

    def prepare(self) -> None:
        """Forwarding and masquerading; again after a reboot. Idempotent."""
        veth.set_sysctl("net/ipv4/ip_forward", "1")
        with machine.alone(), Nft() as nft:
            nft.run(podrules.table(self._instance, self._cidr, self._inside))
            self._publisher.rebuild(nft)

    def add(self, sandbox_id: str, pid: int, ports: tuple[PortMapping, ...] = ()) -> Result:
        """Connect the sandbox whose first process this is; again for one that is connected."""
        lease = self._leases.find(sandbox_id)
        if lease is not None:
            with veth.reported("pods", sandbox_id):
                self._connect(lease, pid)
            return self._result(lease, pid)
        wanted = tuple(
            Port(each.container_port, each.protocol, each.host_ip, each.host_port) for each in ports
        )
        if not wanted:
            return self._add(sandbox_id, pid, None, ())
        with machine.alone(), Nft() as nft:
            return self._add(sandbox_id, pid, nft, wanted)

    def _add(self, sandbox_id: str, pid: int, nft: Nft | None, wanted: tuple[Port, ...]) -> Result:
        choose = self._publisher.chooser(nft, wanted) if nft else lambda held: ()
        lease = self._leases.take(
            sandbox_id, self._network, self._cidr, FIRST_POD, choose, in_turn=True
        )
        try:
            with veth.reported("pods", sandbox_id):
                self._connect(lease, pid)
            if nft:
                self._publisher.publish(nft, lease)
        except BaseException:
            with contextlib.suppress(DockyardError, OSError):  # the first error is the one to tell
                self._disconnect(lease, nft)
            raise
        return self._result(lease, pid)

    def _connect(self, lease: Lease, pid: int) -> None:
        name, address = self._link(lease), lease.address
        namespace = veth.namespace_of(pid)
        try:
            with Netlink() as host:
                self._mtu = self._mtu or veth.mtu(host)
                index = veth.connect(host, name, namespace, address, self._mtu)
                veth.host_end(name)
                if lease.ports:
                    veth.set_sysctl(f"net/ipv4/conf/{name}/route_localnet", "1")
                host.set_link(index, up=True)
                host.add_neighbour(index, address, veth.mac_of(address, 1))
                host.add_route(address, 32, index)
            veth.configure_guest(namespace, address, 32, GATEWAY, veth.mac_of(address, 0))
        finally:
            os.close(namespace)

    def check(self, sandbox_id: str, pid: int) -> None:
        """Raises :class:`NotFound` naming what is missing."""
        lease = self._leases.find(sandbox_id)
        if lease is None:
            raise NotFound(f"network: sandbox {sandbox_id[:12]}: holds no address")
        namespace = veth.namespace_of(pid)
        try:
            with Netlink() as host, open_in(namespace) as guest:
                names = {link.name for link in host.links()}
                routes = {route.destination for route in host.all_routes()}
                inner = {link.name: link.number for link in guest.links()}
                own = guest.addresses(inner.get(veth.GUEST, 0))
        finally:
            os.close(namespace)
        for what, there in (
            (f"link {self._link(lease)}", self._link(lease) in names),
            (f"route to {lease.address}", f"{lease.address}/32" in routes),
            (f"{veth.GUEST} with {lease.address}", f"{lease.address}/32" in own),
        ):
            if not there:
                raise NotFound(f"network: sandbox {sandbox_id[:12]}: {what} is missing")

    def delete(self, sandbox_id: str) -> None:
        """Give back a sandbox's link, address and ports; an unknown one is fine."""
        for lease in self._leases.of(sandbox_id):
            if lease.network.startswith(NETWORK):
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

    def gc(self, valid: Callable[[], Collection[str]]) -> None:
        """Remove what sandboxes hold that are gone. ``valid`` is asked for after their leases."""
        leases = self._own()
        alive = valid()
        for lease in leases:
            if lease.holder not in alive:
                self._give_back(lease)
        with Netlink() as host:
            found = veth.links_of(host, self._instance, veth.ROUTED)
            for name in set(found) - {self._link(lease) for lease in self._own()}:
                host.delete_link(name)

    def address(self, sandbox_id: str) -> str:
        """A sandbox's address; empty where it has none."""
        lease = self._leases.find(sandbox_id)
        return lease.address if lease else ""

    def teardown(self) -> None:
        """Remove every link and rule of the pod network."""
        with Netlink() as host:
            for name in veth.links_of(host, self._instance, veth.ROUTED):
                host.delete_link(name)
        with machine.alone(), Nft() as nft:
            nft.delete_table("inet", podrules.table_name(self._instance))
            for lease in self._own():
                self._publisher.unpublish(nft, lease)
        self._leases.release(lease.number for lease in self._own())

    def _own(self) -> list[Lease]:
        return [lease for lease in self._leases.all() if lease.network.startswith(NETWORK)]

    def _link(self, lease: Lease) -> str:
        return veth.link_name(self._instance, veth.ROUTED, lease.number)

    def _result(self, lease: Lease, pid: int) -> Result:
        macs = [veth.mac_text(veth.mac_of(lease.address, side)) for side in (0, 1)]
        return Result(
            (
                Interface(self._link(lease), macs[0], mtu=self._mtu),
                Interface(veth.GUEST, macs[1], f"/proc/{pid}/ns/net", self._mtu),
            ),
            (Ip(f"{lease.address}/32", GATEWAY, 1),),
            (Route("0.0.0.0/0", GATEWAY),),
        )


def _block(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise Invalid(f"network: block {text!r}: {error}; write it as 10.244.0.0/16") from error
