"""Turns ``--network`` and what belongs to it into a container's place in a network."""

from __future__ import annotations

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.base.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from dockyard.node.engine.config import PortSpec

MAC = Pattern(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")
PREDEFINED = ("bridge", "none", "host")


def place(options: argparse.Namespace) -> dict[str, Any]:
    """Members of a configuration."""
    network = "bridge" if options.network == "default" else options.network
    if "," in network or network.startswith("name="):
        raise Unsupported(f"--network {network}: several words: not implemented; --ip, "
                          "--mac-address and --network-alias say the same of it")  # fmt: skip
    own = network not in PREDEFINED and not network.startswith("container:")
    published = _published(options, network)
    return {
        "network": network,
        "ip": _address(options, own),
        "mac": _mac(options.mac_address, network),
        "aliases": _aliases(options.network_alias, own),
        "links": _links(options.link, network),
        "ports": published,
        "exposed": _exposed(options, network),
        "publish_all": options.publish_all and network != "host",
        "extra_hosts": tuple(options.add_host),
        "dns": tuple(options.dns),
        "dns_search": tuple(options.dns_search),
        "dns_options": tuple(options.dns_option),
    }


def _published(options: argparse.Namespace, network: str) -> tuple[PortSpec, ...]:
    if not options.publish:
        return ()
    from dockyard.cli.portflags import ports

    found = tuple(port for text in options.publish for port in ports(text))
    if network == "host":
        import sys

        print("WARNING: Published ports are discarded when using host network mode",
              file=sys.stderr)  # fmt: skip
        return ()
    return found


def _exposed(options: argparse.Namespace, network: str) -> tuple[str, ...]:
    from dockyard.node.engine.effective import exposed

    if options.expose and network.startswith("container:"):
        raise Conflict("conflicting options: port exposing and the container type network mode")
    return tuple(port for text in options.expose for port in exposed(text))


def _address(options: argparse.Namespace, own: bool) -> str:
    """The IPv4 address. There is no network with IPv6 that could give one of that kind."""
    if not options.ip and not options.ip6:
        return ""
    import ipaddress

    for text, version in ((options.ip, 4), (options.ip6, 6)):
        try:
            known = not text or ipaddress.ip_address(text).version == version
        except ValueError:
            known = False
        if not known:
            raise Invalid(f"invalid IPv{version} address: {text}")
    if not own:
        raise Invalid(f"invalid config for network {options.network}: invalid endpoint settings: "
                      "user specified IP address is supported on user defined networks "
                      "only")  # fmt: skip
    if options.ip6:
        raise Unsupported(f"--ip6 {options.ip6}: network {options.network}: it has no IPv6; "
                          "networks with IPv6 are not implemented")  # fmt: skip
    return str(options.ip)


def _mac(text: str, network: str) -> str:
    if not text:
        return ""
    if not MAC.fullmatch(text):
        raise Invalid(f"{text} is not a valid mac address")
    if network in ("host", "none") or network.startswith("container:"):
        raise Conflict("conflicting options: mac-address and the network mode")
    found = text.replace("-", ":").lower()
    if int(found[:2], 16) & 1 or not int(found.replace(":", ""), 16):
        raise Invalid(f"--mac-address {text}: a multicast address is no interface's")
    return found


def _aliases(words: list[str], own: bool) -> tuple[str, ...]:
    if words and not own:
        raise Invalid("network-scoped aliases are only supported for user-defined networks")
    for word in words:
        if not word.isprintable() or not word.split() == [word] or word.startswith("#"):
            raise Invalid(f"--network-alias {word!r}: not a host name")
    return tuple(dict.fromkeys(words))


def _links(words: list[str], network: str) -> tuple[tuple[str, str], ...]:
    """(name or id, alias); the name itself where no alias is said."""
    if not words:
        return ()
    if network == "host":
        raise Conflict("conflicting options: host type networking can't be used with links. This "
                       "would result in undefined behavior")  # fmt: skip
    if network == "none" or network.startswith("container:"):
        raise Conflict("conflicting options: container type network can't be used with links. This "
                       "would result in undefined behavior")  # fmt: skip
    found = []
    for word in words:
        name, colon, alias = word.partition(":")
        alias = alias if colon else name.rpartition("/")[2]
        if not name or not alias or ":" in alias or alias.split() != [alias]:
            raise Invalid(f'invalid argument "{word}" for "--link" flag: bad format for links: '
                          f"{word}")  # fmt: skip
        found.append((name, alias))
    return tuple(found)
