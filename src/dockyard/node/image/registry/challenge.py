"""Turns ``WWW-Authenticate`` headers into challenges (RFC 9110, section 11.6.1)."""

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from dockyard.node.image.image import RegistryDenied

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?:\s+|$)")
_PARAMETER = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_LONGEST = 8192


class Challenge(NamedTuple):
    """How a server wants to be convinced. ``scheme`` and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all headers, in order; what is not understood ends its header."""
    found: list[Challenge] = []
    for header in headers:
        at, text = 0, header[:_LONGEST]
        while match := _SCHEME.match(text, at):
            at = match.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(text, at):
                at = parameter.end()
                quoted = parameter[2]
                value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters[parameter[1].lower()] = value
            found.append(Challenge(match[1].lower(), parameters))
    return found


def check_realm(realm: str, registry_url: str) -> None:
    """Refuse a token server that would get credentials in the clear, or that is a way into this
    machine's or its network's own services (C06)."""
    registry = urlsplit(registry_url)
    try:
        target = urlsplit(realm)
        good = target.port is None or target.port > 0
    except ValueError:
        good = False
    if not good or not realm.isascii():
        raise RegistryDenied(f"registry: {registry.netloc}: token realm {realm[:200]!r}: is no "
                             "address")  # fmt: skip
    same_host = target.hostname == registry.hostname
    if target.scheme != "https" and not (target.scheme == "http" and registry.scheme == "http"):
        raise RegistryDenied(f"registry: {registry.netloc}: token realm {realm!r}: must be https")
    if not target.hostname or target.username is not None:
        raise RegistryDenied(f"registry: {registry.netloc}: token realm {realm!r}: is no address")
    try:
        address = ipaddress.ip_address(target.hostname)
    except ValueError:
        inside = target.hostname == "localhost"
    else:
        inside = address.is_loopback or address.is_link_local or address.is_unspecified
    if inside and not same_host and not is_loopback(registry.hostname or ""):
        raise RegistryDenied(
            f"registry: {registry.netloc}: token realm {realm!r}: points into this machine; refused"
        )


def is_loopback(host: str) -> bool:
    """``localhost``, ``127.0.0.0/8``, ``::1``: plain HTTP is allowed there, as docker allows it."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
