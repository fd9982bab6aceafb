"""Turns a pod network's blocks into nftables commands. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def table_name(instance: str) -> str:
    """The table of the pod network."""
    return f"dockyard_{instance}_pods"


def table(instance: str, pods: str, inside: Iterable[str]) -> str:
    """What pods send out of the cluster's blocks is masqueraded; nobody sends as somebody else.

    A pod's link is the only way to its address, so a packet from another source came from a liar.
    Applying it again changes nothing.
    """
    name, links = f"inet {table_name(instance)}", f'"dy{instance}p*"'
    return f"""
add table {name}
add chain {name} sources {{ type filter hook prerouting priority raw; policy accept; }}
add chain {name} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush chain {name} sources
flush chain {name} postrouting
add rule {name} sources iifname {links} fib saddr . iif oif missing drop
add rule {name} postrouting ip saddr {pods} ip daddr != {{ {", ".join(inside)} }} masquerade
"""
