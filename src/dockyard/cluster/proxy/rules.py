"""Turns Services and EndpointSlices into one nftables ruleset. Pure.

A packet to a cluster IP and port goes to its Service's chain, which picks an endpoint by chance.
One without endpoints is refused at once. A pod that reaches itself through its Service is
masqueraded, or it would answer itself directly.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from dockyard.cluster.client.transport import Object

SERVICE_NAME = "kubernetes.io/service-name"
PROTOCOLS = ("TCP", "UDP")


class Port(NamedTuple):
    """One port of a Service's cluster IP, and where it leads."""

    address: str
    protocol: str
    port: int
    targets: tuple[tuple[str, int], ...]


def table_name(instance: str) -> str:
    """The table of the Services."""
    return f"dockyard_{instance}_services"


def ports_of(services: Iterable[Object], slices: Iterable[Object]) -> list[Port]:
    """Every port of every cluster IP, in a fixed order; of two with one place the first counts."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for each in slices:
        metadata = each["metadata"]
        name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
        by_service.setdefault((metadata["namespace"], name), []).append(each)
    found: dict[tuple[str, str, int], Port] = {}
    for service in sorted(services, key=_age):
        address = service["spec"].get("clusterIP", "")
        if service["spec"].get("type") == "ExternalName" or not _is_ipv4(address):
            continue
        metadata = service["metadata"]
        own = by_service.get((metadata["namespace"], metadata["name"]), [])
        for port in service["spec"].get("ports") or ():
            protocol = port.get("protocol", "TCP")
            if protocol in PROTOCOLS:
                targets = tuple(sorted(endpoints(own, port.get("name", ""), protocol)))
                made = Port(address, protocol.lower(), int(port["port"]), targets)
                found.setdefault(made[:3], made)
    return sorted(found.values())


def _age(service: Object) -> tuple[str, str, str]:
    metadata = service["metadata"]
    return metadata.get("creationTimestamp", ""), metadata["namespace"], metadata["name"]


def endpoints(slices: Iterable[Object], name: str, protocol: str) -> set[tuple[str, int]]:
    """Ready endpoints of a port; where there is none, those that end but still serve."""
    ready: set[tuple[str, int]] = set()
    ending: set[tuple[str, int]] = set()
    for each in slices:
        numbers = [
            int(port["port"])
            for port in each.get("ports") or ()
            if port.get("name", "") == name
            and port.get("protocol", "TCP") == protocol
            and port.get("port")  # one without a number says nothing to a proxy
        ]
        for endpoint in each.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            places = {(address, number) for address in endpoint["addresses"]
                      for number in numbers if _is_ipv4(address)}  # fmt: skip
            if conditions.get("ready", True):
                ready |= places
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= places
    return ready or ending


def _is_ipv4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False


def ruleset(instance: str, ports: Iterable[Port]) -> str:
    """Commands that make the table anew, in one transaction."""
    table = f"inet {table_name(instance)}"
    lines = [
        f"add table {table}",
        f"delete table {table}",
        f"add table {table}",
        f"add map {table} services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}",
        f"add set {table} refused {{ type ipv4_addr . inet_proto . inet_service; }}",
        f"add set {table} hairpins {{ type ipv4_addr . ipv4_addr; }}",
    ]
    for name, kind, hook, priority in (
        ("prerouting", "nat", "prerouting", "dstnat"),
        ("output", "nat", "output", "-100"),
        ("postrouting", "nat", "postrouting", "srcnat"),
        ("refuse-forward", "filter", "forward", "filter"),
        ("refuse-output", "filter", "output", "filter"),
    ):
        lines.append(
            f"add chain {table} {name} {{ type {kind} hook {hook} priority {priority}; "
            "policy accept; }"
        )
    key = "ip daddr . meta l4proto . th dport"
    lines += [
        f"add rule {table} prerouting {key} vmap @services",
        f"add rule {table} output {key} vmap @services",
        f"add rule {table} postrouting ct status dnat ip saddr . ip daddr @hairpins masquerade",
        f"add rule {table} refuse-forward {key} @refused reject",
        f"add rule {table} refuse-output {key} @refused reject",
    ]
    hairpins: set[str] = set()
    for number, port in enumerate(ports):
        place = f"{port.address} . {port.protocol} . {port.port}"
        if not port.targets:
            lines.append(f"add element {table} refused {{ {place} }}")
            continue
        chain = f"service-{number}"
        lines.append(f"add chain {table} {chain}")
        lines.append(f"add rule {table} {chain} {_choice(port)}")
        lines.append(f"add element {table} services {{ {place} : goto {chain} }}")
        hairpins |= {address for address, _ in port.targets}
    if hairpins:
        pairs = ", ".join(f"{address} . {address}" for address in sorted(hairpins))
        lines.append(f"add element {table} hairpins {{ {pairs} }}")
    return "\n".join(lines) + "\n"


def _choice(port: Port) -> str:
    proto = f"meta l4proto {port.protocol}"
    if len(port.targets) == 1:
        address, number = port.targets[0]
        return f"{proto} dnat ip to {address}:{number}"
    places = ", ".join(
        f"{index} : {address} . {number}" for index, (address, number) in enumerate(port.targets)
    )
    return f"{proto} dnat ip to numgen random mod {len(port.targets)} map {{ {places} }}"
