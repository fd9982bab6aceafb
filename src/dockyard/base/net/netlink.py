"""Turns links, addresses, routes and neighbours into rtnetlink(7) messages and sends them.

Standard library only: importing a netlink library costs more than a container's whole start. A
socket belongs to the network namespace that it was opened in; :func:`open_in` opens one in another.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from dockyard.base.linux.syscalls import CLONE_NEWNET, setns

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWNEIGH = 20, 24, 25, 26, 28
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_REPLACE = 1, 4, 0x300, 0x100
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_IFALIAS, IFLA_NET_NS_FD = 20, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80
IFF_UP = 1
RTNH_F_ONLINK = 4
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253

_HEADER = struct.Struct("=IHHII")
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


class Netlink:
    """An rtnetlink socket; a context manager. Errors are ``OSError`` naming what was asked."""

    def __init__(self, opened: socket.socket | None = None) -> None:
        self._socket = opened or _socket()
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    # links

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        found = []
        for payload in self._dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
            _, _, index, flags, _ = _LINK.unpack_from(payload)
            attributes = dict(_attributes(payload[_LINK.size :]))
            name = attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode()
            alias = attributes.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode()
            found.append(Link(index, name, alias, bool(flags & IFF_UP)))
        return found

    def index(self, name: str) -> int:
        """The number of a link. ``OSError`` ENODEV where there is none."""
        payload = _LINK.pack(0, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, name.encode() + b"\0")
        reply = self._ask(RTM_GETLINK, 0, payload, f"link {name}")
        return int(_LINK.unpack_from(reply)[2])

    def add_link(self, name: str, kind: str, alias: str = "") -> int:
        """A bridge or a dummy; its number."""
        payload = _LINK.pack(0, 0, 0, 0, 0) + _name(name) + _kind(kind)
        self._ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"add {kind} {name}")
        index = self.index(name)
        if alias:
            self.set_link(index, alias=alias)
        return index

    def add_veth(
        self, name: str, peer: str, peer_namespace: int, mac: bytes, peer_mac: bytes, mtu: int = 0
    ) -> int:
        """A pair: one end here, the other in the namespace of a descriptor. Our end's number."""
        size = _attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
        other = (
            _LINK.pack(0, 0, 0, 0, 0) + _name(peer) + _attribute(IFLA_ADDRESS, peer_mac) + size
            + _attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
        )  # fmt: skip
        payload = (
            _LINK.pack(0, 0, 0, 0, 0) + _name(name) + _attribute(IFLA_ADDRESS, mac) + size
            + _kind("veth", _attribute(VETH_INFO_PEER, other))
        )  # fmt: skip
        self._ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"add veth {name}")
        return self.index(name)

    def set_link(
        self, index: int, *, up: bool | None = None, master: int | None = None, alias: str = ""
    ) -> None:
        """Change a link."""
        flags = (IFF_UP if up else 0, IFF_UP) if up is not None else (0, 0)
        payload = _LINK.pack(0, 0, index, *flags)
        if master is not None:
            payload += _attribute(IFLA_MASTER, struct.pack("=I", master))
        if alias:
            payload += _attribute(IFLA_IFALIAS, alias.encode())
        self._ask(RTM_NEWLINK, 0, payload, f"set link {index}")

    def delete_link(self, name: str) -> bool:
        """Remove a link; whether there was one."""
        payload = _LINK.pack(0, 0, 0, 0, 0) + _name(name)
        try:
            self._ask(RTM_DELLINK, 0, payload, f"delete link {name}")
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
        return True

    # addresses, routes, neighbours

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give a link an address; one that it has is fine."""
        family, packed = _pack(address)
        payload = _ADDR.pack(family, prefix, 0, 0, index)
        payload += _attribute(IFA_LOCAL, packed) + _attribute(IFA_ADDRESS, packed)
        flags = NLM_F_CREATE | NLM_F_REPLACE
        self._ask(RTM_NEWADDR, flags, payload, f"add address {address}/{prefix}")

    def add_route(
        self, destination: str, prefix: int, index: int, gateway: str = "", onlink: bool = False
    ) -> None:
        """Send what goes to a block over a link, or to a gateway on it."""
        family, packed = _pack(destination)
        scope = SCOPE_UNIVERSE if gateway else SCOPE_LINK
        payload = _ROUTE.pack(
            family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST,
            RTNH_F_ONLINK if onlink else 0,
        )  # fmt: skip
        if prefix:
            payload += _attribute(RTA_DST, packed)
        if gateway:
            payload += _attribute(RTA_GATEWAY, _pack(gateway)[1])
        payload += _attribute(RTA_OIF, struct.pack("=I", index))
        flags = NLM_F_CREATE | NLM_F_REPLACE
        self._ask(RTM_NEWROUTE, flags, payload, f"add route {destination}/{prefix}")

    def add_neighbour(self, index: int, address: str, mac: bytes) -> None:
        """Fix who has an address on a link."""
        family, packed = _pack(address)
        payload = _NEIGH.pack(family, index, NUD_PERMANENT, 0, 0)
        payload += _attribute(NDA_DST, packed) + _attribute(NDA_LLADDR, mac)
        flags = NLM_F_CREATE | NLM_F_REPLACE
        self._ask(RTM_NEWNEIGH, flags, payload, f"add neighbour {address}")

    def routes(self) -> list[str]:
        """IPv4 blocks (``10.0.0.0/8``) of the main table, the default route apart."""
        found = []
        request = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        for payload in self._dump(RTM_GETROUTE, request):
            family, prefix, _, _, table, _, _, _, _ = _ROUTE.unpack_from(payload)
            destination = dict(_attributes(payload[_ROUTE.size :])).get(RTA_DST)
            if family == socket.AF_INET and table == RT_TABLE_MAIN and destination:
                found.append(f"{socket.inet_ntoa(destination)}/{prefix}")
        return found

    # messages

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._sequence += 1
        size = _HEADER.size + len(payload)
        header = _HEADER.pack(size, kind, flags | NLM_F_REQUEST, self._sequence, 0)
        self._socket.send(header + payload)

    def _replies(self) -> Iterator[tuple[int, bytes]]:
        while True:
            data = self._socket.recv(256 * 1024)
            offset = 0
            while offset + _HEADER.size <= len(data):
                size, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
                if sequence == self._sequence:
                    yield kind, data[offset + _HEADER.size : offset + size]
                offset += (size + 3) & ~3

    def _ask(self, kind: int, flags: int, payload: bytes, what: str) -> bytes:
        self._send(kind, flags | NLM_F_ACK, payload)
        answer = b""
        for reply, data in self._replies():
            if reply != NLMSG_ERROR:
                answer = data
                continue
            code = -struct.unpack_from("=i", data)[0]
            if code:
                raise OSError(code, f"netlink: {what}: {os.strerror(code)}")
            break
        return answer

    def _dump(self, kind: int, payload: bytes) -> Iterator[bytes]:
        self._send(kind, NLM_F_DUMP, payload)
        for reply, data in self._replies():
            if reply == NLMSG_DONE:
                return
            if reply == NLMSG_ERROR:
                code = -struct.unpack_from("=i", data)[0]
                raise OSError(code, f"netlink: dump: {os.strerror(code)}")
            yield data


def open_in(namespace: int) -> Netlink:
    """A socket in the network namespace of a descriptor. Only this thread goes there, and back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace, CLONE_NEWNET)
        try:
            return Netlink(_socket())
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


def _socket() -> socket.socket:
    return socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )


def _attribute(kind: int, data: bytes) -> bytes:
    size = len(data) + 4
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, offset)
        if size < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + size]
        offset += (size + 3) & ~3


def _name(name: str) -> bytes:
    return _attribute(IFLA_IFNAME, name.encode() + b"\0")


def _kind(kind: str, data: bytes = b"") -> bytes:
    info = _attribute(IFLA_INFO_KIND, kind.encode())
    return _attribute(IFLA_LINKINFO, info + (_attribute(IFLA_INFO_DATA, data) if data else b""))


def _pack(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)
