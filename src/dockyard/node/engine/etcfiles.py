"""Turns a container's names and addresses into /etc/hosts, /etc/hostname and /etc/resolv.conf."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import Container, ContainerConfig
from dockyard.node.engine.places import Places

TARGETS = ("hosts", "hostname", "resolv.conf")
LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
HOST_GATEWAY = "host-gateway"
"""In place of an address: this machine's, as the container reaches it."""
ORDER = ("search", "nameserver", "options")
"""Docker's, of what /etc/resolv.conf says."""
DEFAULT_SERVERS = ("8.8.8.8", "8.8.4.4")
"""Docker's, for a container that can't reach the host's resolver on its loopback."""
SHORT = 12
"""Digits of an id that people see."""


def hostname(container: Container) -> str:
    """What the container calls itself: on the host's network, what the host does."""
    config = container.config
    if config.hostname:
        return config.hostname
    if config.network == "host" and not config.pause:
        return os.uname().nodename
    return container.id[:SHORT]


def hosts(name: str, address: str, extra: tuple[str, ...], gateway: str = "") -> str:
    """/etc/hosts; ``extra`` are ``NAME:ADDRESS``, or ``NAME:host-gateway``."""
    lines = [_line(entry, gateway) for entry in extra]
    if address:
        lines.append(f"{address}\t{name}\n")
    return LOCAL + "".join(lines)


def _line(entry: str, gateway: str) -> str:
    name, address = _host(entry)
    return f"{(gateway or '127.0.0.1') if address == HOST_GATEWAY else address}\t{name}\n"


def _host(entry: str) -> tuple[str, str]:
    separator = "=" if "=" in entry else ":"
    name, found, address = entry.partition(separator)
    where = f'invalid argument "{entry}" for "--add-host" flag: '
    if not found or not name or not name.isprintable() or " " in name:
        raise Invalid(f'{where}bad format for add-host: "{entry}"')
    if address != HOST_GATEWAY and not _is_address(address.strip("[]")):
        raise Invalid(f'{where}invalid IP address in add-host: "{address}"')
    return name, address.strip("[]")


def _is_address(text: str) -> bool:
    import ipaddress  # a millisecond that most containers do without

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check(config: ContainerConfig) -> None:
    """Refuse what the files can't say, before anything is made. Raises :class:`Invalid`."""
    hosts("", "", config.extra_hosts)
    for server in config.dns:
        if not _is_address(server):
            raise Invalid(f'invalid argument "{server}" for "--dns" flag: IP address is not '
                          f"correctly formatted: {server}")  # fmt: skip
    for word in (*config.dns_search, *config.dns_options, config.hostname):
        if not word.isprintable() or " " in word:
            raise Invalid(f"name: {word!r}: has characters that no host name has")


def resolv_conf(of_host: str, config: ContainerConfig) -> str:
    """/etc/resolv.conf: the host's, but no resolver on its loopback; or what was given."""
    rows = [line.split() for line in of_host.splitlines()]
    rows = [row for row in rows if row and not row[0].startswith(("#", ";"))]
    domains = " ".join(domain for domain in config.dns_search if domain != ".")
    given = {"search": (domains,), "nameserver": config.dns,
             "options": (" ".join(config.dns_options),)}  # fmt: skip
    for word, values in given.items():
        if any(values) or (word == "search" and config.dns_search):
            rows = [row for row in rows if row[0] != word]
            rows += [[word, value] for value in values if value]
    if any(any(values) for values in given.values()):
        rows.sort(key=lambda row: ORDER.index(row[0]) if row[0] in ORDER else len(ORDER))
    if config.network != "host" and not config.dns:
        rows = [row for row in rows if row[0] != "nameserver" or not _is_loopback(row[1:])]
        if not any(row[0] == "nameserver" for row in rows):
            rows += [["nameserver", server] for server in DEFAULT_SERVERS]
    return "".join(f"{' '.join(row)}\n" for row in rows)


def _is_loopback(words: list[str]) -> bool:
    return not words or words[0].startswith("127.") or words[0].partition("%")[0] == "::1"


def sources(places: Places, container: Container) -> list[tuple[str, str]]:
    """(file, target) of the three; who shares another's network shares its files."""
    config = container.config
    if not config.own_etc or config.pause:
        return []
    shared = config.network.removeprefix("container:")
    folder = places.state(container.id if shared == config.network else shared)
    return [(os.path.join(folder, name), f"/etc/{name}") for name in TARGETS]


def write(places: Places, container: Container, address: str, gateway: str = "") -> None:
    """Write the files that are the container's own; one that runs sees the change."""
    config = container.config
    if not config.own_etc or config.pause or config.network.startswith("container:"):
        return
    name = hostname(container)
    on_host = config.network == "host"
    host_names = _read("/etc/hosts") if on_host else ""
    extra = "".join(_line(entry, "") for entry in config.extra_hosts)
    texts = (
        host_names + extra if on_host else hosts(name, address, config.extra_hosts, gateway),
        f"{name}\n",
        resolv_conf(_read("/etc/resolv.conf"), config),
    )
    for file_name, text in zip(TARGETS, texts, strict=True):
        with open(os.path.join(places.state(container.id), file_name), "w") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever our umask is, its users read them
            file.write(text)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
