"""Turns networks and published ports into nftables commands. Pure.

One table a data root, shared by bridges and pods:

- ``ports`` holds what is published on every address of the host, ``bound`` what is on one;
- what comes to 127.0.0.1 is sent to the container too, from the link's own address: loopback routes
  no answers;
- a container reaches the host's loopback by no address of it (CVE-2020-8558), and nobody outside
  reaches what is published on 127.0.0.1;
- bridges are kept apart, and what is not published is reached from its own bridge only.
"""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.node.network.hostports import ANY
from dockyard.node.network.leases import Port


def table_name(instance: str) -> str:
    """The table of the container networks."""
    return f"dockyard_{instance}"


def base(instance: str) -> str:
    """The table, its maps and chains. Applying it again changes nothing."""
    table, ours = f"inet {table_name(instance)}", f'"dy{instance}*"'
    bridges = f'"dy{instance}b*"'
    local = "fib daddr type local meta l4proto { tcp, udp } dnat ip to"
    bound = f"{local} ip daddr . meta l4proto . th dport map @bound"
    ports = f"{local} meta l4proto . th dport map @ports"
    chains = {
        "martians": "filter hook prerouting priority raw",
        "prerouting": "nat hook prerouting priority dstnat",
        "output": "nat hook output priority -100",
        "postrouting": "nat hook postrouting priority srcnat",
        "forward": "filter hook forward priority filter",
    }
    rules = f"""
add rule {table} martians iifname {ours} ip daddr 127.0.0.0/8 drop
add rule {table} martians iifname {ours} ip saddr 127.0.0.0/8 drop
add rule {table} prerouting iifname != "lo" ip daddr 127.0.0.0/8 return
add rule {table} prerouting {bound}
add rule {table} prerouting {ports}
add rule {table} output {bound}
add rule {table} output {ports}
add rule {table} postrouting ip saddr 127.0.0.0/8 oifname {ours} masquerade
add rule {table} postrouting ip saddr . ip daddr @hairpins ct status dnat masquerade
add rule {table} postrouting ip saddr @subnets ip daddr @subnets ct status dnat masquerade
add rule {table} postrouting ip saddr @subnets ip daddr != @subnets masquerade
add rule {table} forward oifname {bridges} ct status dnat accept
add rule {table} forward iifname {bridges} oifname {bridges} iifname . oifname != @bridges drop
add rule {table} forward iifname != {bridges} oifname {bridges} ct state new drop
"""
    lines = [
        f"add table {table}",
        f"add set {table} subnets {{ type ipv4_addr; flags interval; }}",
        f"add set {table} bridges {{ type ifname . ifname; }}",
        f"add set {table} hairpins {{ type ipv4_addr . ipv4_addr; }}",
        f"add map {table} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}",
        f"add map {table} bound {{ type ipv4_addr . inet_proto . inet_service"
        " : ipv4_addr . inet_service; }",
        *(f"add chain {table} {name} {{ type {chains[name]}; policy accept; }}" for name in chains),
        *(f"flush chain {table} {name}" for name in chains),
    ]
    return "\n".join(lines) + rules


def emptied(instance: str) -> str:
    """Without any network or port; what is there comes after this, in the same transaction."""
    names = ("set subnets", "set bridges", "set hairpins", "map ports", "map bound")
    words = (name.split() for name in names)
    return "".join(f"flush {kind} inet {table_name(instance)} {name}\n" for kind, name in words)


def add_subnet(instance: str, subnet: str, bridge: str) -> str:
    """A network: masqueraded on its way out, and kept apart from the others."""
    return _subnet("add", instance, subnet, bridge)


def remove_subnet(instance: str, subnet: str, bridge: str) -> str:
    """The opposite of :func:`add_subnet`."""
    return _subnet("delete", instance, subnet, bridge)


def _subnet(verb: str, instance: str, subnet: str, bridge: str) -> str:
    table = f"inet {table_name(instance)}"
    return (
        f"{verb} element {table} subnets {{ {subnet} }}\n"
        f'{verb} element {table} bridges {{ "{bridge}" . "{bridge}" }}\n'
    )


def publish(instance: str, address: str, ports: Iterable[Port]) -> str:
    """Send what comes to a port of the host to a container."""
    return _ports("add", instance, address, ports)


def unpublish(instance: str, address: str, ports: Iterable[Port]) -> str:
    """The opposite of :func:`publish`."""
    return _ports("delete", instance, address, ports)


def _ports(verb: str, instance: str, address: str, ports: Iterable[Port]) -> str:
    lines = [_port(verb, instance, address, port) for port in ports]
    if lines:
        place = f"inet {table_name(instance)} hairpins"
        lines.append(f"{verb} element {place} {{ {address} . {address} }}\n")
    return "".join(lines)


def _port(verb: str, instance: str, address: str, port: Port) -> str:
    table = f"inet {table_name(instance)}"
    place = f"{port.protocol} . {port.host_port}"
    target = f"{address} . {port.container_port}"
    if port.host_ip in ("", ANY):
        return f"{verb} element {table} ports {{ {place} : {target} }}\n"
    return f"{verb} element {table} bound {{ {port.host_ip} . {place} : {target} }}\n"
