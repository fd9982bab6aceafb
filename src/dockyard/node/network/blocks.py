"""Turns what is in use into a block, or an address of one, that is free. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from itertools import chain

from dockyard.base.errors import Conflict, Invalid

BLOCKS = [f"172.{second}.0.0/16" for second in range(17, 32)] + [
    f"192.168.{third}.0/20" for third in range(0, 256, 16)
]
"""Where Docker looks for a block, in its order."""
SMALLEST = 30
"""A block has a network's, a broadcast, a gateway's and a guest's address."""


def free_block(used: Iterable[str]) -> str:
    """The first of Docker's blocks that overlaps nothing in use."""
    networks = [ipaddress.ip_network(block) for block in used]
    for candidate in map(ipaddress.ip_network, BLOCKS):
        if not any(candidate.overlaps(network) for network in networks):
            return str(candidate)
    raise Conflict(
        "network: all predefined address pools have been fully subnetted; remove networks that "
        "are not needed, or name a --subnet"
    )


def checked_block(text: str, used: Iterable[str]) -> str:
    """A block that somebody named, if it can be a network's and overlaps nothing in use."""
    try:
        block = ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid(f"network: subnet {text!r}: {error}; write it as 10.9.0.0/24") from error
    if not isinstance(block, ipaddress.IPv4Network):
        raise Invalid(f"network: subnet {text}: IPv6 networks are not implemented")
    if block.prefixlen > SMALLEST or not block.is_private or block.is_loopback:
        raise Invalid(f"network: subnet {text}: is no private block of /{SMALLEST} or more")
    for other in map(ipaddress.ip_network, used):
        if block.overlaps(other):
            raise Conflict(f"network: subnet {text}: Pool overlaps with other one on this address "
                           f"space: {other}")  # fmt: skip
    return str(block)


def wanted_address(subnet: str, first: int, taken: set[str], wanted: str) -> str:
    """The address that somebody asks for. Raises where it is not one of the block's, or taken."""
    block = ipaddress.ip_network(subnet)
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        raise Invalid(f"invalid IPv4 address: {wanted}") from None
    if address not in block:
        raise Invalid(f"no configured subnet or ip-range contain the IP address {wanted}: the "
                      f"network has {subnet}")  # fmt: skip
    offset = int(address) - int(block.network_address)
    if str(address) in taken or not first <= offset < block.num_addresses - 1:
        raise Conflict(f"Address already in use: {wanted}")
    return str(address)


def free_address(subnet: str, first: int, taken: set[str], after: str = "") -> str:
    """The lowest free address from the ``first``-th on; or the next one after ``after``."""
    block = ipaddress.ip_network(subnet)
    base, end = int(block.network_address), block.num_addresses - 1
    start = first
    if after:
        offset = int(ipaddress.ip_address(after)) - base + 1
        start = offset if first <= offset < end else first
    for number in chain(range(start, end), range(first, start)):
        address = str(block[number])
        if address not in taken:
            return address
    raise Conflict(f"network: {subnet}: no address is left; remove containers")
