"""Turns wanted ports of the host into ones that nobody has: asked for by number, or any.

A published port has no socket of ours, so three places are looked at: the leases of this data root,
the rules of other ones, and, by binding for a moment, the programs of this machine.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable

from dockyard.base.errors import Conflict, Invalid
from dockyard.base.net.nft import Missing, Nft
from dockyard.node.network.leases import Port

ANY = "0.0.0.0"  # noqa: S104 - Docker's way to say "every address of the host"
ATTEMPTS = 64
MAPS = ("ports", "bound")

Probe = Callable[[Port], int]
"""Bind a port; its number. ``OSError`` if somebody has it."""


def choose(wanted: Iterable[Port], held: Iterable[Port], probe: Probe) -> tuple[Port, ...]:
    """The ports, each with its host port. Raises :class:`Conflict` for one that is taken."""
    taken, chosen = list(held), []
    for port in wanted:
        made = _numbered(port, taken, probe) if port.host_port else _any(port, taken, probe)
        taken.append(made)
        chosen.append(made)
    return tuple(chosen)


def _numbered(port: Port, taken: list[Port], probe: Probe) -> Port:
    failed = f"Bind for {port.host_ip or ANY}:{port.host_port} failed"
    if any(clash(port, each) for each in taken):
        raise Conflict(f"{failed}: port is already allocated")
    try:
        probe(port)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise Invalid(f"{failed}: no address of this machine: {port.host_ip}") from error
        words = "port is already allocated" if error.errno == errno.EADDRINUSE else "not allowed"
        raise Conflict(f"{failed}: {words} ({error.strerror})") from error
    return port


def _any(port: Port, taken: list[Port], probe: Probe) -> Port:
    for _ in range(ATTEMPTS):
        try:
            made = port._replace(host_port=probe(port))
        except OSError as error:
            raise Invalid(f"Bind for {port.host_ip}:0 failed: {error.strerror}") from error
        if not any(clash(made, each) for each in taken):
            return made
    raise Conflict(f"Bind for {port.host_ip or ANY}:0 failed: no port is free; remove containers")


def clash(port: Port, held: Port) -> bool:
    """Whether two ports cannot both be published."""
    everywhere = ("", ANY)
    same_address = (
        port.host_ip == held.host_ip or port.host_ip in everywhere or held.host_ip in everywhere
    )
    return same_address and (port.protocol, port.host_port) == (held.protocol, held.host_port)


def bind(port: Port) -> int:
    """Bind for a moment: the port's number, or ``OSError`` as the kernel has it."""
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:  # past connections that end; a listener still refuses
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((port.host_ip or ANY, port.host_port))
        return int(probe.getsockname()[1])


def of_others(nft: Nft, own_table: str) -> tuple[Port, ...]:
    """What other data roots have published: read from the kernel."""
    found: list[Port] = []
    for table in nft.tables():
        name = table.removeprefix("dockyard_")
        if table != own_table and name != table and "_" not in name:
            for each in MAPS:
                try:
                    found += parse_map(nft.ask(f"list map inet {table} {each}"))
                except Missing:  # it went away meanwhile
                    continue
    return tuple(found)


def parse_map(items: Iterable[dict[str, object]]) -> list[Port]:
    """Elements of ``ports`` or ``bound``, as libnftables-json(5) lists them."""
    found = []
    for item in items:
        described = item.get("map")
        if not isinstance(described, dict):
            continue
        for key, _ in described.get("elem") or ():
            *address, protocol, port = key["concat"]
            found.append(Port(0, str(protocol), str(address[0]) if address else ANY, int(port)))
    return found
