"""Turns links, addresses, routes and neighbours into changes of the kernel's, over rtnetlink(7).

Standard library only: importing a netlink library costs more than a container's whole start. A
socket belongs to the network namespace that it was opened in; :func:`open_in` opens one in another.
"""

from __future__ import annotations

import errno
import os
import socket

from dockyard.base.linux.syscalls import CLONE_NEWNET, setns
from dockyard.base.net import rtmessages as rt
from dockyard.base.net.channel import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Channel, open_socket
from dockyard.base.net.rtmessages import Link, Route

__all__ = ["Link", "Netlink", "Route", "open_in"]

ANEW = NLM_F_CREATE | NLM_F_EXCL
ALSO_AGAIN = NLM_F_CREATE | NLM_F_REPLACE


class Netlink(Channel):
    """An rtnetlink socket; a context manager. Errors are ``OSError`` naming what was asked."""

    def __init__(self, opened: socket.socket | None = None) -> None:
        super().__init__(socket.NETLINK_ROUTE, opened)

    # links

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        return [rt.parse_link(each) for each in self.dump(rt.RTM_GETLINK, rt.any_link(), "links")]

    def link(self, name: str) -> Link:
        """One link. ``OSError`` ENODEV where there is none."""
        return rt.parse_link(self.ask(rt.RTM_GETLINK, 0, rt.link_named(name), f"link {name}"))

    def index(self, name: str) -> int:
        """The number of a link. ``OSError`` ENODEV where there is none."""
        return self.link(name).number

    def add_link(self, name: str, kind: str, alias: str = "") -> int:
        """A bridge or a dummy; its number. ``FileExistsError`` if there is a link of that name."""
        self.ask(rt.RTM_NEWLINK, ANEW, rt.new_link(name, kind), f"add {kind} {name}")
        index = self.index(name)
        if alias:
            self.set_link(index, alias=alias)
        return index

    def add_veth(
        self, name: str, peer: str, peer_namespace: int, mac: bytes, peer_mac: bytes, mtu: int = 0
    ) -> int:
        """A pair: one end here, the other in the namespace of a descriptor. Our end's number."""
        pair = rt.new_veth(name, mac, peer, peer_mac, peer_namespace, mtu)
        self.ask(rt.RTM_NEWLINK, ANEW, pair, f"add veth {name}")
        return self.index(name)

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        master: int | None = None,
        alias: str = "",
        mtu: int = 0,
        name: str = "",
    ) -> None:
        """Change a link."""
        change = rt.changed_link(index, up=up, master=master, alias=alias, mtu=mtu, name=name)
        self.ask(rt.RTM_NEWLINK, 0, change, f"set link {index}")

    def set_hairpin(self, index: int) -> None:
        """Let a bridge's port send back what came in through it."""
        self.ask(rt.RTM_SETLINK, 0, rt.hairpin(index), f"set hairpin of link {index}")

    def delete_link(self, name: str) -> bool:
        """Remove a link; whether there was one."""
        try:
            self.ask(rt.RTM_DELLINK, 0, rt.link_named(name), f"delete link {name}")
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
        return True

    # addresses, routes, neighbours

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give a link an address; one that it has is fine."""
        payload = rt.address(index, address, prefix)
        self.ask(rt.RTM_NEWADDR, ALSO_AGAIN, payload, f"add address {address}/{prefix}")

    def delete_address(self, index: int, address: str, prefix: int) -> None:
        """Take an address from a link. ``OSError`` EADDRNOTAVAIL where it has none such."""
        payload = rt.address(index, address, prefix)
        self.ask(rt.RTM_DELADDR, 0, payload, f"delete address {address}/{prefix}")

    def addresses(self, index: int) -> list[str]:
        """``address/prefix`` of a link, both families."""
        found = map(rt.parse_address, self.dump(rt.RTM_GETADDR, rt.any_address(), "addresses"))
        return [text for link, text in found if link == index]

    def add_route(
        self, destination: str, prefix: int, index: int, gateway: str = "", onlink: bool = False
    ) -> None:
        """Send what goes to a block over a link, or to a gateway on it."""
        payload = rt.route(destination, prefix, index, gateway, onlink=onlink)
        self.ask(rt.RTM_NEWROUTE, ALSO_AGAIN, payload, f"add route {destination}/{prefix}")

    def delete_route(self, destination: str, prefix: int, index: int) -> None:
        """Remove a route over a link. ``OSError`` ESRCH where there is none."""
        payload = rt.no_route(destination, prefix, index)
        self.ask(rt.RTM_DELROUTE, 0, payload, f"delete route {destination}/{prefix}")

    def all_routes(self, family: int = socket.AF_INET) -> list[Route]:
        """Every route of the main table."""
        found = map(rt.parse_route, self.dump(rt.RTM_GETROUTE, rt.any_route(family), "routes"))
        return [each for each in found if each is not None]

    def routes(self) -> list[str]:
        """IPv4 blocks (``10.0.0.0/8``) of the main table, the default route apart."""
        found = [route.destination for route in self.all_routes()]
        return [destination for destination in found if not destination.endswith("/0")]

    def add_neighbour(self, index: int, address: str, mac: bytes) -> None:
        """Fix who has an address on a link."""
        payload = rt.neighbour(index, address, mac)
        self.ask(rt.RTM_NEWNEIGH, ALSO_AGAIN, payload, f"add neighbour {address}")


def open_in(namespace: int) -> Netlink:
    """A socket in the network namespace of a descriptor. Only this thread goes there, and back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace, CLONE_NEWNET)
        try:
            return Netlink(open_socket(socket.NETLINK_ROUTE))
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
