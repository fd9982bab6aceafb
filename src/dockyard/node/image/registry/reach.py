"""Turns docker's certs.d and the environment's proxies into a TLS context and a way there."""

import base64
import glob
import ipaddress
import os
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.image.registry.challenge import is_loopback
from dockyard.node.image.registry.hosts import Hosts


class Trust(NamedTuple):
    """``own``: whether it trusts the user's authorities; then plain HTTP is not tried."""

    context: ssl.SSLContext | None
    own: bool


class Proxy(NamedTuple):
    """Where requests go instead, and what it wants to see."""

    host: str
    port: int
    headers: dict[str, str]


def trust_of(hosts: Hosts, registry: str) -> Trust:
    """``<host[:port]>/*.crt`` are authorities, ``*.cert`` with ``*.key`` show who we are. A folder
    with a certificate of ours alone keeps the system's authorities."""
    authorities = _files(hosts, registry, "crt")
    ours = _files(hosts, registry, "cert")
    if not authorities and not ours:
        return Trust(None, False)
    context = ssl.create_default_context()
    for path in authorities:
        _load(path, lambda path=path: context.load_verify_locations(path))  # type: ignore[misc]
    for path in ours:
        key = path.removesuffix(".cert") + ".key"
        if not os.path.exists(key):
            raise Invalid(f"certificate {path}: its key {key} is missing")
        _load(path, lambda path=path, key=key: context.load_cert_chain(path, key))  # type: ignore[misc]
    return Trust(context, bool(authorities))


def _files(hosts: Hosts, registry: str, end: str) -> list[str]:
    return [
        path
        for folder in hosts.cert_dirs
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), registry, f"*.{end}")))
    ]


def _load(path: str, act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"certificate {path}: {error.strerror or error}") from error


def proxy_of(scheme: str, host: str, port: int) -> Proxy | None:
    """``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``, in either case; never for this machine."""
    url = _variable(f"{scheme}_proxy")
    if not url or is_loopback(host) or _bypassed(host, port):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http":
        raise Unsupported(f"proxy: {scheme}_proxy: {parts.scheme}: not implemented; http is")
    if not parts.hostname:
        raise Invalid(f"proxy: {scheme}_proxy: {url[:200]!r}: no address")
    headers = {}
    if parts.username:
        pair = (unquote(parts.username), unquote(parts.password or ""))
        headers["Proxy-Authorization"] = _basic(*pair)
    return Proxy(parts.hostname, parts.port or 80, headers)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""


def _bypassed(host: str, port: int) -> bool:
    """Names with all below them, addresses, networks, each with a port or without, or ``*``."""
    for word in _variable("no_proxy").lower().split(","):
        entry = word.strip()
        if entry == "*":
            return True
        name, colon, number = entry.rpartition(":")
        if colon and number.isdigit() and (":" not in name or name.endswith("]")):
            if int(number) != port:
                continue
            entry = name
        entry = entry.removeprefix("*").lstrip(".").strip("[]")
        if entry and (host.lower() == entry or host.lower().endswith("." + entry)):
            return True
        try:
            if ipaddress.ip_address(host.strip("[]")) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue  # one of the two is a name
    return False
