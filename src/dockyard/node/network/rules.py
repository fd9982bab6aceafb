"""Turns networks and published ports into nftables commands. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.node.network.leases import Port

ANY = "0.0.0.0"  # noqa: S104 - Docker's way to say "every address of the host"


def table_name(instance: str) -> str:
    """The table of the container networks."""
    return f"dockyard_{instance}"


def base(instance: str) -> str:
    """The table, its maps and chains. Applying it again changes nothing.

    ``ports`` holds what is published on every address, ``bound`` what is on one. What comes to
    127.0.0.1 is sent to the container too, from the bridge's address: loopback routes no answers.
    A container must not reach the host's loopback through its bridge (CVE-2020-8558).
    """
    table, ours = f"inet {table_name(instance)}", f'"dy{instance}b*"'
    ports = "dnat ip to meta l4proto . th dport map @ports"
    bound = "dnat ip to ip daddr . meta l4proto . th dport map @bound"
    return f"""
add table {table}
add set {table} subnets {{ type ipv4_addr; flags interval; }}
add map {table} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
add map {table} bound {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
add chain {table} martians {{ type filter hook prerouting priority raw; policy accept; }}
add chain {table} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain {table} output {{ type nat hook output priority -100; policy accept; }}
add chain {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
add chain {table} forward {{ type filter hook forward priority filter; policy accept; }}
flush chain {table} martians
flush chain {table} prerouting
flush chain {table} output
flush chain {table} postrouting
flush chain {table} forward
add rule {table} martians iifname {ours} ip daddr 127.0.0.0/8 drop
add rule {table} prerouting fib daddr type local meta l4proto {{ tcp, udp }} {bound}
add rule {table} prerouting fib daddr type local meta l4proto {{ tcp, udp }} {ports}
add rule {table} output fib daddr type local meta l4proto {{ tcp, udp }} {bound}
add rule {table} output fib daddr type local meta l4proto {{ tcp, udp }} {ports}
add rule {table} postrouting ip saddr 127.0.0.0/8 oifname {ours} masquerade
add rule {table} postrouting ip saddr @subnets ip daddr @subnets ct status dnat masquerade
add rule {table} postrouting ip saddr @subnets ip daddr != @subnets masquerade
add rule {table} forward iifname {ours} oifname {ours} ct status dnat accept
"""


def add_subnet(instance: str, subnet: str, bridge: str) -> str:
    """A network: masqueraded on its way out, and kept apart from the others."""
    table, ours = f"inet {table_name(instance)}", f'"dy{instance}b*"'
    return f"""
add element {table} subnets {{ {subnet} }}
add rule {table} forward iifname "{bridge}" oifname {ours} oifname != "{bridge}" drop
"""


def publish(instance: str, address: str, ports: Iterable[Port]) -> str:
    """Send what comes to a port of the host to a container."""
    return "".join(_element("add", instance, address, port) for port in ports)


def unpublish(instance: str, address: str, ports: Iterable[Port]) -> str:
    """The opposite of :func:`publish`."""
    return "".join(_element("delete", instance, address, port) for port in ports)


def _element(verb: str, instance: str, address: str, port: Port) -> str:
    table = f"inet {table_name(instance)}"
    target = f"{address} . {port.container_port}"
    if port.host_ip in ("", ANY):
        return f"{verb} element {table} ports {{ {port.protocol} . {port.host_port} : {target} }}\n"
    return (
        f"{verb} element {table} bound "
        f"{{ {port.host_ip} . {port.protocol} . {port.host_port} : {target} }}\n"
    )
