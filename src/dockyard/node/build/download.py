"""Turns a URL into a file: what ``ADD`` fetches.

Nobody is led to this machine's link-local services: the address is looked at on the
connected socket, at every redirect (E06, C07).
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ipaddress
import os
import socket
import ssl
import urllib.parse
from typing import NamedTuple

from dockyard.base.errors import Denied, Invalid, NotFound, Unavailable, Unsupported
from dockyard.node.image.registry import socks
from dockyard.node.image.registry.dial import tunnel, words_of
from dockyard.node.image.registry.reach import Proxy, proxy_of

_SECONDS = 60.0
_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 10
LARGEST = 16 << 30
_PIECE = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)


class Downloaded(NamedTuple):
    name: str
    """The last part of the URL's path."""
    mtime: int
    """Nanoseconds: what the server said, or 0."""


def is_url(word: str) -> bool:
    return word.lower().startswith(("http://", "https://"))


def download(url: str, target: str) -> Downloaded:
    """Fetch into the file ``target``, which is made. Raises what a person can act on."""
    where = url
    for _ in range(_MOST_REDIRECTS):
        try:
            parts = urllib.parse.urlsplit(where)
        except ValueError as error:
            raise Invalid(f"{url[:200]}: leads to {where[:200]!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{url[:200]}: leads to {where[:200]!r}: http or https is expected")
        connection = _connect(parts, url)
        try:
            answer = _ask(connection, parts, url)
            if answer.status in _REDIRECTS and (location := answer.headers.get("Location")):
                with contextlib.suppress(ValueError):  # no address: told of above
                    location = urllib.parse.urljoin(where, location)
                where = location
                continue
            if answer.status != http.HTTPStatus.OK:
                kind = NotFound if answer.status in (404, 410) else Unavailable
                raise kind(f"{url[:200]}: invalid response status {answer.status}")
            _save(answer, target, url)
            return Downloaded(_name(url), _modified(answer.headers.get("Last-Modified", "")))
        finally:
            connection.close()
    raise Unavailable(f"{url[:200]}: more than {_MOST_REDIRECTS} redirects")


def _connect(parts: urllib.parse.SplitResult, url: str) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):  # a name: known when it is connected
        _refuse_local(host, url)
    try:
        port = parts.port or _PORTS[parts.scheme]
        found = http.client.HTTPConnection(host, port, timeout=_SECONDS)
        proxy = proxy_of(parts.scheme, host, port)
        where = (proxy.host, proxy.port) if proxy else (host, port)
        found.sock = socket.create_connection(where, _SECONDS)
    except (OSError, ValueError) as error:
        raise Unavailable(f"{url[:200]}: {words_of(error)}") from error
    try:
        if proxy is None:
            _refuse_local(found.sock.getpeername()[0], url)
        else:
            _pass_proxy(found, parts.scheme, proxy)
        if parts.scheme == "https":
            found.sock = ssl.create_default_context().wrap_socket(found.sock, server_hostname=host)
    except BaseException as error:
        found.close()
        if isinstance(error, OSError):
            raise Unavailable(f"{url[:200]}: {words_of(error)}") from error
        raise
    return found


def _pass_proxy(found: http.client.HTTPConnection, scheme: str, proxy: Proxy) -> None:
    """What the environment's proxy wants before anything else, as for registries."""
    if proxy.tls and scheme == "https":
        raise Unsupported("proxy: https_proxy: TLS to a proxy is not implemented for ADD of https")
    if proxy.socks:
        socks.ask_for(found.sock, found.host, found.port, proxy)
    elif scheme == "https":
        tunnel(found.sock, found.host, found.port, proxy)
    elif proxy.tls:
        context = ssl.create_default_context()
        found.sock = context.wrap_socket(found.sock, server_hostname=proxy.host)


def _refuse_local(text: str, url: str) -> None:
    """Raises ``ValueError`` for what is no address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
        raise Denied(f"{url[:200]}: {address}: a link-local address; refused")


def _ask(
    connection: http.client.HTTPConnection, parts: urllib.parse.SplitResult, url: str
) -> http.client.HTTPResponse:
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    headers = {"User-Agent": "dockyard", "Accept-Encoding": "identity"}
    try:
        if parts.scheme == "http" and (proxy := proxy_of("http", connection.host, connection.port)):
            headers |= proxy.headers
            path = path if proxy.socks else f"http://{parts.netloc.rpartition('@')[2]}{path}"
        connection.request("GET", path, headers=headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"{url[:200]}: {words_of(error)}") from error


def _save(answer: http.client.HTTPResponse, target: str, url: str) -> None:
    size = 0
    with open(target, "wb") as file:
        try:
            while piece := answer.read(_PIECE):
                size += len(piece)
                if size > LARGEST:
                    raise Invalid(f"{url[:200]}: more than {LARGEST} bytes; refused")
                file.write(piece)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{url[:200]}: cut after {size} bytes: {error}") from error
    if answer.length:
        raise Unavailable(f"{url[:200]}: cut after {size} bytes")


def _name(url: str) -> str:
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    name = os.path.basename(path)
    return "" if name in (".", "..") or "\0" in name else name


def _modified(text: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (ValueError, TypeError, OverflowError):
        return 0
