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

_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class Trust(NamedTuple):
    """``own``: whether it trusts the user's authorities; then plain HTTP is not tried."""

    context: ssl.SSLContext | None
    own: bool


class Proxy(NamedTuple):
    """Where requests go instead, and what it wants to see."""

    host: str
    port: int
    headers: dict[str, str]
    tls: bool = False
    """It is spoken to in TLS, also where what goes through is TLS itself."""
    socks: bool = False
    login: tuple[str, str] | None = None


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
    """``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``, in either case; never for this machine. The
    rules are those of Go's golang.org/x/net/http/httpproxy, which docker and podman follow; and
    ``ALL_PROXY`` where there is none for the scheme, as with curl."""
    name = next((name for name in (f"{scheme}_proxy", "all_proxy") if _variable(name)), "")
    if not name or is_loopback(host) or _bypassed(host, port):
        return None
    url = _variable(name)
    what = f"proxy: {name}"
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        proxy_port = parts.port
    except ValueError as error:
        raise Invalid(f"{what}: {error}") from error
    if parts.scheme not in _PROXY_PORTS:
        raise Unsupported(f"{what}: {parts.scheme}: not implemented; http, https, socks5 are")
    if not parts.hostname:
        raise Invalid(f"{what}: no address in it")  # and not shown: a password may be
    headers, login = {}, None
    if parts.username is not None:
        login = (unquote(parts.username), unquote(parts.password or ""))
    socks = parts.scheme.startswith("socks")
    if login and not socks:
        headers["Proxy-Authorization"] = _basic(*login)
    port = proxy_port or _PROXY_PORTS[parts.scheme]
    tls = parts.scheme == "https"
    return Proxy(parts.hostname, port, headers, tls, socks, login if socks else None)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _variable(name: str) -> str:
    return os.environ.get(name.upper()) or os.environ.get(name) or ""


def _bypassed(host: str, port: int) -> bool:
    """Names with all below them (one that begins with a dot: only what is below), addresses,
    networks, each with a port or without, or ``*``."""
    host = host.lower().rstrip(".")
    for word in _variable("no_proxy").lower().split(","):
        entry = word.strip()
        if entry == "*":
            return True
        name, colon, number = entry.rpartition(":")
        if colon and number.isdigit() and (":" not in name or name.endswith("]")):
            if int(number) != port:
                continue
            entry = name
        entry = entry.removeprefix("*").strip("[]")
        below = entry if entry.startswith(".") else f".{entry}"
        if len(below) > 1 and (host == entry or host.endswith(below)):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue  # one of the two is a name
    return False
