"""Turns a pod's sandbox into a routed pair of links: one address, no bridge.

The pod's end has its address as /32 and sends everything to 169.254.1.1, which nobody has: a fixed
neighbour says that the host's end answers for it. The host has one route a pod. So what a pod sends
is always routed, and Services and policies need no bridge netfilter.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os

from dockyard.base.net.netlink import Netlink
from dockyard.base.net.nft import Nft
from dockyard.base.oci.instance import instance_id
from dockyard.interfaces.cni import Result
from dockyard.node.network import veth
from dockyard.node.network.leases import Lease, Leases

GATEWAY = "169.254.1.1"
NETWORK = "pods:"
FIRST_POD = 2


class RoutedPods:
    """The pod network of one node: an implementation of :class:`interfaces.cni.Network`."""

    def __init__(self, data_root: str, pod_cidr: str, cluster_cidrs: tuple[str, ...]) -> None:
        """``cluster_cidrs``: blocks that a pod reaches with its own address, unmasqueraded."""
        self._instance = instance_id(data_root)
        self._leases = Leases(data_root)
        self._cidr, self._inside = str(ipaddress.ip_network(pod_cidr)), cluster_cidrs

    def prepare(self) -> None:
        """Forwarding and masquerading; again after a reboot. Idempotent."""
        veth.set_sysctl("net/ipv4/ip_forward", "1")
        table = f"inet {self._table}"
        inside = ", ".join(self._inside)
        Nft().run(f"""
add table {table}
add chain {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush chain {table} postrouting
add rule {table} postrouting ip saddr {self._cidr} ip daddr != {{ {inside} }} masquerade
""")

    def add(self, sandbox_id: str, pid: int) -> Result:
        """Connect the sandbox whose first process this is; again for one that is connected."""
        lease = self._leases.find(sandbox_id)
        if lease is None:
            lease = self._leases.take(sandbox_id, NETWORK + self._cidr, self._cidr, FIRST_POD, ())
        try:
            self._connect(lease, pid)
        except BaseException:
            self.delete(sandbox_id)
            raise
        return Result(lease.address, GATEWAY)

    def _connect(self, lease: Lease, pid: int) -> None:
        namespace = veth.namespace_of(pid)
        try:
            with Netlink() as host:
                name = self._link(lease)
                index = veth.connect(host, name, namespace, lease.address)
                with contextlib.suppress(FileNotFoundError):
                    veth.set_sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")
                host.set_link(index, up=True)
                host.add_neighbour(index, lease.address, veth.mac_of(lease.address, 1))
                host.add_route(lease.address, 32, index)
            gateway_mac = veth.mac_of(lease.address, 0)
            veth.configure_guest(namespace, lease.address, 32, GATEWAY, gateway_mac)
        finally:
            os.close(namespace)

    def delete(self, sandbox_id: str) -> None:
        """Give back a sandbox's link and address; an unknown one is fine."""
        lease = self._leases.find(sandbox_id)
        if lease is None:
            return
        with Netlink() as host:
            host.delete_link(self._link(lease))
        self._leases.release(sandbox_id)

    def address(self, sandbox_id: str) -> str:
        """A sandbox's address; empty where it has none."""
        lease = self._leases.find(sandbox_id)
        return lease.address if lease else ""

    def teardown(self) -> None:
        """Remove every link and rule of the pod network."""
        with Netlink() as host:
            for link in host.links():
                if link.name.startswith(f"dy{self._instance}p"):
                    host.delete_link(link.name)
        Nft().delete_table("inet", self._table)
        for lease in self._leases.all():
            if lease.network.startswith(NETWORK):
                self._leases.release(lease.holder)

    @property
    def _table(self) -> str:
        return f"dockyard_{self._instance}_pods"

    def _link(self, lease: Lease) -> str:
        return veth.link_name(self._instance, "p", lease.number)
