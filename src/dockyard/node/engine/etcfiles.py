"""Turns a container's names and addresses into /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid

TARGETS = ("hosts", "hostname", "resolv.conf")
LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(hostname: str, address: str, extra: tuple[str, ...]) -> str:
    """/etc/hosts; ``extra`` are ``NAME:ADDRESS``."""
    lines = []
    for entry in extra:
        name, colon, ip = entry.partition(":")
        if not colon or not name or not entry.isprintable():
            raise Invalid(f"bad format for add-host: {entry!r}: not NAME:ADDRESS")
        lines.append(f"{ip}\t{name}\n")
    if address:
        lines.append(f"{address}\t{hostname}\n")
    return LOCAL + "".join(lines)


def resolv_conf(of_host: str, servers: tuple[str, ...]) -> str:
    """/etc/resolv.conf: the host's, but no resolver on its loopback; or the servers given."""
    lines = [line for line in of_host.splitlines() if line and not line.startswith("#")]
    if servers:
        lines = [line for line in lines if not line.startswith("nameserver")]
        lines += [f"nameserver {server}" for server in servers]
    kept = [line for line in lines if not line.startswith(("nameserver 127.", "nameserver ::1"))]
    return "".join(f"{line}\n" for line in kept)


def write(folder: str, hosts_text: str, hostname: str, resolv: str) -> None:
    """Write the three files; a container that runs sees the change: its mount is of the file."""
    for name, text in zip(TARGETS, (hosts_text, f"{hostname}\n", resolv), strict=True):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
