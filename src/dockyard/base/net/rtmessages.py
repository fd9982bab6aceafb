"""Turns links, addresses, routes and neighbours into rtnetlink(7) payloads and back. Pure."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from dockyard.base.net.channel import NESTED, attribute, attributes

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_PROTINFO, IFLA_IFALIAS, IFLA_NET_NS_FD, IFLA_BRPORT_MODE = 12, 20, 28, 4
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE = 1, 4, 5, 15
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80
IFF_UP, RTNH_F_ONLINK = 1, 4
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_NOWHERE = 0, 253, 255
LONGEST_NAME = 15
AF_BRIDGE = 7

_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGH = struct.Struct("=BxxxiHBB")


class Link(NamedTuple):
    """A network interface."""

    number: int
    name: str
    alias: str
    up: bool
    mtu: int = 0
    mac: bytes = b""
    master: int = 0
    """The number of the bridge that it is a port of; 0 for none."""
    kind: str = ""
    """``veth``, ``bridge``, ``dummy``, ...; empty for hardware."""


class Route(NamedTuple):
    """A route of the main table."""

    destination: str
    """``10.0.0.0/8``; a default route is ``0.0.0.0/0`` or ``::/0``."""
    link: int
    gateway: str


def any_link(index: int = 0) -> bytes:
    """The header of a question about a link, or about all."""
    return _LINK.pack(0, 0, index, 0, 0)


def link_named(name: str) -> bytes:
    """A link by name."""
    if not 0 < len(name.encode()) <= LONGEST_NAME:
        raise ValueError(f"link {name!r}: a name has 1 to {LONGEST_NAME} bytes")
    return any_link() + attribute(IFLA_IFNAME, name.encode() + b"\0")


def new_link(name: str, kind: str) -> bytes:
    """A link of a kind."""
    return link_named(name) + _info(kind)


def new_veth(
    name: str, mac: bytes, peer: str, peer_mac: bytes, peer_namespace: int, mtu: int
) -> bytes:
    """A pair, its other end in the namespace of a descriptor."""
    size = attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
    other = link_named(peer) + attribute(IFLA_ADDRESS, peer_mac) + size
    other += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
    own = link_named(name) + attribute(IFLA_ADDRESS, mac) + size
    return own + _info("veth", attribute(VETH_INFO_PEER, other))


def changed_link(
    index: int, *, up: bool | None, master: int | None, alias: str, mtu: int, name: str
) -> bytes:
    """What is to change of a link."""
    flags = (IFF_UP if up else 0, IFF_UP) if up is not None else (0, 0)
    payload = _LINK.pack(0, 0, index, *flags)
    if master is not None:
        payload += attribute(IFLA_MASTER, struct.pack("=I", master))
    if alias:
        payload += attribute(IFLA_IFALIAS, alias.encode())
    if mtu:
        payload += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if name:
        payload += attribute(IFLA_IFNAME, name.encode() + b"\0")
    return payload


def hairpin(index: int) -> bytes:
    """A bridge's port that what came in through may leave through again."""
    payload = _LINK.pack(AF_BRIDGE, 0, index, 0, 0)
    return payload + attribute(IFLA_PROTINFO | NESTED, attribute(IFLA_BRPORT_MODE, b"\1"))


def parse_link(payload: bytes) -> Link:
    """A link from an answer."""
    _, _, index, flags, _ = _LINK.unpack_from(payload)
    found = dict(attributes(payload[_LINK.size :]))
    info = dict(attributes(found.get(IFLA_LINKINFO, b"")))
    return Link(
        index, _text(found.get(IFLA_IFNAME)), _text(found.get(IFLA_IFALIAS)), bool(flags & IFF_UP),
        _number(found.get(IFLA_MTU)), found.get(IFLA_ADDRESS, b""),
        _number(found.get(IFLA_MASTER)), _text(info.get(IFLA_INFO_KIND)),
    )  # fmt: skip


def address(index: int, text: str, prefix: int) -> bytes:
    """An address of a link."""
    family, packed = pack(text)
    payload = _ADDR.pack(family, prefix, 0, 0, index)
    return payload + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)


def any_address() -> bytes:
    """The header of a question about all addresses."""
    return _ADDR.pack(0, 0, 0, 0, 0)


def parse_address(payload: bytes) -> tuple[int, str]:
    """The number of a link and ``address/prefix`` from an answer."""
    family, prefix, _, _, index = _ADDR.unpack_from(payload)
    found = dict(attributes(payload[_ADDR.size :]))
    packed = found.get(IFA_LOCAL) or found[IFA_ADDRESS]
    return index, f"{socket.inet_ntop(family, packed)}/{prefix}"


def route(destination: str, prefix: int, index: int, gateway: str, *, onlink: bool) -> bytes:
    """A route over a link, or to a gateway on it; ``onlink``: though no other route leads there."""
    family, packed = pack(destination)
    scope = SCOPE_UNIVERSE if gateway or family == socket.AF_INET6 else SCOPE_LINK
    payload = _ROUTE.pack(
        family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST,
        RTNH_F_ONLINK if onlink else 0,
    )  # fmt: skip
    if prefix:
        payload += attribute(RTA_DST, packed)
    if gateway:
        payload += attribute(RTA_GATEWAY, pack(gateway)[1])
    return payload + attribute(RTA_OIF, struct.pack("=I", index))


def no_route(destination: str, prefix: int, index: int) -> bytes:
    """A route to be removed, whatever its gateway."""
    family, packed = pack(destination)
    payload = _ROUTE.pack(family, prefix, 0, 0, RT_TABLE_MAIN, 0, SCOPE_NOWHERE, 0, 0)
    if prefix:
        payload += attribute(RTA_DST, packed)
    return payload + attribute(RTA_OIF, struct.pack("=I", index))


def any_route(family: int) -> bytes:
    """The header of a question about all routes of a family."""
    return _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)


def parse_route(payload: bytes) -> Route | None:
    """A unicast route of the main table from an answer; None for any other."""
    family, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
    found = dict(attributes(payload[_ROUTE.size :]))
    if (_number(found.get(RTA_TABLE)) or table) != RT_TABLE_MAIN or kind != RTN_UNICAST:
        return None
    zero = bytes(16 if family == socket.AF_INET6 else 4)
    gateway = found.get(RTA_GATEWAY, b"")
    return Route(
        f"{socket.inet_ntop(family, found.get(RTA_DST, zero))}/{prefix}",
        _number(found.get(RTA_OIF)),
        socket.inet_ntop(family, gateway) if gateway else "",
    )


def neighbour(index: int, text: str, mac: bytes) -> bytes:
    """Who has an address on a link, for good."""
    family, packed = pack(text)
    payload = _NEIGH.pack(family, index, NUD_PERMANENT, 0, 0)
    return payload + attribute(NDA_DST, packed) + attribute(NDA_LLADDR, mac)


def pack(text: str) -> tuple[int, bytes]:
    """Family and bytes of an address."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text)


def _info(kind: str, data: bytes = b"") -> bytes:
    info = attribute(IFLA_INFO_KIND, kind.encode())
    return attribute(IFLA_LINKINFO, info + (attribute(IFLA_INFO_DATA, data) if data else b""))


def _text(data: bytes | None) -> str:
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def _number(data: bytes | None) -> int:
    return int(struct.unpack("=I", data)[0]) if data and len(data) == 4 else 0
