"""Turns a lease into a pair of links: one end on the host, the other in a container's namespace."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

from dockyard.base.errors import Conflict, Unavailable
from dockyard.base.net.netlink import Netlink, open_in

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
GUEST = "eth0"
BRIDGE, BRIDGED, ROUTED = "b", "v", "p"
"""The letter in a link's name: a bridge, the host's end of its guest, the host's end of a pod."""
COMMON_MTU = 1500


def link_name(instance: str, letter: str, number: int) -> str:
    """``dy<instance><letter><number in base 36>``: at most 15 characters (IFNAMSIZ)."""
    text = ""
    while number or not text:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return f"dy{instance}{letter}{text}"


def mac_of(address: str, side: int) -> bytes:
    """A locally administered MAC that is an address's alone; ``side`` 0 is the host's end."""
    packed = bytes(int(part) for part in address.split("."))
    return bytes((0x02, 0x42 + side)) + packed


def mac_text(mac: bytes) -> str:
    """As people and /sys write it."""
    return mac.hex(":")


def namespace_of(pid: int) -> int:
    """A descriptor of a process's network namespace. Raises :class:`Conflict` if it has ended."""
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
        raise Conflict(f"network: process {pid}: has ended; start the container again") from error


def mtu(host: Netlink) -> int:
    """What leaves the machine whole: the default route's link's, at most Ethernet's."""
    out = [route.link for route in host.all_routes() if route.destination == "0.0.0.0/0"]
    sizes = [link.mtu for link in host.links() if link.number in out]
    return min([COMMON_MTU, *sizes])


def connect(
    host: Netlink, name: str, namespace: int, address: str, size: int, mac: str = ""
) -> int:
    """Make the pair; the number of the host's end. A stale link of that name goes first.
    ``mac``: the guest's; else one that follows from its address."""
    guest = bytes.fromhex(mac.replace(":", "")) if mac else mac_of(address, 1)
    macs = mac_of(address, 0), guest
    try:
        return host.add_veth(name, GUEST, namespace, *macs, size)
    except FileExistsError:
        host.delete_link(name)
        return host.add_veth(name, GUEST, namespace, *macs, size)


def configure_guest(
    namespace: int, address: str, prefix: int, gateway: str, gateway_mac: bytes | None
) -> None:
    """Inside the namespace: loopback and eth0 up, the address, the way out.

    ``gateway_mac``: the gateway is not in the block, and this is who has it.
    """
    with open_in(namespace) as guest:
        guest.set_link(guest.index("lo"), up=True)
        index = guest.index(GUEST)
        guest.add_address(index, address, prefix)
        guest.set_link(index, up=True)
        if gateway_mac is not None:
            guest.add_neighbour(index, gateway, gateway_mac)
            guest.add_route(gateway, 32, index)
        guest.add_route("0.0.0.0", 0, index, gateway, onlink=True)  # noqa: S104 - the default route


def host_end(name: str) -> None:
    """Nothing that a guest advertises changes the host's routes (CVE-2020-13401)."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        set_sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")


def set_sysctl(path: str, value: str) -> None:
    """Write a file below /proc/sys, if it says something else."""
    with open(f"/proc/sys/{path}", "r+") as file:
        if file.read().strip() != value:
            file.seek(0)
            file.write(value)


def exists(name: str) -> bool:
    """Whether there is a link of that name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def links_of(host: Netlink, instance: str, letters: str) -> list[str]:
    """Names of the links of ours of these kinds."""
    names = [link.name for link in host.links()]
    start = f"dy{instance}"
    return [name for name in names if name.startswith(start) and name[len(start) :][:1] in letters]


@contextlib.contextmanager
def reported(network: str, holder: str) -> Iterator[None]:
    """What the kernel refuses is told as what could not be connected."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"network {network}: container {holder[:12]}: {error}") from error
