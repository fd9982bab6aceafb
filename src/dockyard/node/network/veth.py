"""Turns a lease into a pair of links: one end on the host, the other in a container's namespace."""

from __future__ import annotations

import os

from dockyard.base.net.netlink import Netlink, open_in

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
GUEST = "eth0"


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


def namespace_of(pid: int) -> int:
    """A descriptor of a process's network namespace."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def connect(host: Netlink, name: str, namespace: int, address: str) -> int:
    """Make the pair; the number of the host's end. A stale link of that name goes first."""
    macs = mac_of(address, 0), mac_of(address, 1)
    try:
        return host.add_veth(name, GUEST, namespace, *macs)
    except FileExistsError:
        host.delete_link(name)
        return host.add_veth(name, GUEST, namespace, *macs)


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


def set_sysctl(path: str, value: str) -> None:
    """Write a file below /proc/sys, if it says something else."""
    with open(f"/proc/sys/{path}", "r+") as file:
        if file.read().strip() != value:
            file.seek(0)
            file.write(value)
