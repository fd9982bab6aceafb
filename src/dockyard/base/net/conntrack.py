"""Turns the kernel's table of tracked connections into flows, and removes some (ctnetlink).

A removed flow is a stranger again: its next packet is looked at anew, and translated anew.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from dockyard.base.net.channel import NESTED, Channel, attribute, attributes

NETLINK_NETFILTER = 12
CT_GET, CT_DELETE = 0x101, 0x102
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_ZONE = 1, 2, 12, 18
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST = 1, 2, 3, 4
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}

_FAMILY = struct.Struct("=BBH")


class Side(NamedTuple):
    """One direction of a flow."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class Flow(NamedTuple):
    """A tracked connection; what was translated is where the reply differs from the original."""

    protocol: str
    """``tcp``, ``udp``, or the number of another."""
    original: Side
    reply: Side
    key: bytes
    """How the kernel names it."""


class Conntrack(Channel):
    """A ctnetlink socket; a context manager."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)

    def flows(self, family: int = socket.AF_INET) -> list[Flow]:
        """Every flow of a family."""
        return [parse(each) for each in self.dump(CT_GET, _FAMILY.pack(family, 0, 0), "flows")]

    def delete(self, flow: Flow) -> bool:
        """Forget a flow; whether it was still there."""
        family = socket.AF_INET6 if ":" in flow.original.source else socket.AF_INET
        try:
            self.ask(CT_DELETE, 0, _FAMILY.pack(family, 0, 0) + flow.key, "delete flow")
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True


def parse(payload: bytes) -> Flow:
    """A flow from an answer."""
    found = dict(attributes(payload[_FAMILY.size :]))
    number, original = _side(found[CTA_TUPLE_ORIG])
    key = attribute(CTA_TUPLE_ORIG | NESTED, found[CTA_TUPLE_ORIG])
    for kind in (CTA_ID, CTA_ZONE):
        if kind in found:
            key += attribute(kind, found[kind])
    return Flow(PROTOCOLS.get(number, str(number)), original, _side(found[CTA_TUPLE_REPLY])[1], key)


def _side(data: bytes) -> tuple[int, Side]:
    parts = dict(attributes(data))
    address, protocol = (dict(attributes(parts[kind])) for kind in (CTA_TUPLE_IP, CTA_TUPLE_PROTO))
    family, source, destination = socket.AF_INET, CTA_IP_V4_SRC, CTA_IP_V4_DST
    if CTA_IP_V6_SRC in address:
        family, source, destination = socket.AF_INET6, CTA_IP_V6_SRC, CTA_IP_V6_DST
    side = Side(
        socket.inet_ntop(family, address[source]),
        int.from_bytes(protocol.get(CTA_PROTO_SRC_PORT, b"")),
        socket.inet_ntop(family, address[destination]),
        int.from_bytes(protocol.get(CTA_PROTO_DST_PORT, b"")),
    )
    return protocol[CTA_PROTO_NUM][0], side
