"""Turns a parsed request into the head sent to a pod, and a pod's head into one for the client.

Both are written anew from their parsed form (C09): a length or a connection's own headers never go
through, what could be read in two ways is refused, and who the client is, only we say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dockyard.base.wire.http import Request

Pairs = list[tuple[str, str]]
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "proxy-authenticate", "proxy-authorization", "http2-settings",
})  # fmt: skip
OURS = frozenset({"host", "content-length", "expect", "forwarded", "x-real-ip", "x-forwarded-for",
                  "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"})  # fmt: skip
"""Written by us, never taken over; also not in a spelling that a pod may read as the same."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_HOST = re.compile(r"[0-9A-Za-z._\-]*(:[0-9]*)?|\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Bad(Exception):
    """What a pod answered is no HTTP, or can be read in two ways."""


class Framing(NamedTuple):
    """Where an answer's body ends: after so many bytes, its last chunk, or with the connection."""

    length: int | None
    chunked: bool
    keep: bool


class Client(NamedTuple):
    """Who asked, and how."""

    address: str
    host: str
    tls: bool


def split_target(request: Request) -> tuple[str, str]:
    """Host and target of a request, from its absolute form or its Host (RFC 9112, 3.2).

    Raises ``ValueError`` for what a proxy's backend is not asked.
    """
    target, host = request.target.decode("latin-1"), request.header(b"host").strip()
    scheme, mark, rest = target.partition("://")
    if mark and scheme.lower() in ("http", "https"):
        host, slash, path = rest.partition("/")
        target = slash + path if slash else "/"
    if request.method == "CONNECT" or not target.startswith("/") or not _HOST.fullmatch(host):
        raise ValueError("a broken target or host")
    return host, target


def request_head(request: Request, target: str, client: Client, *, keep: bool) -> bytes:
    """The head of a request for a pod. An upgrade to WebSocket is passed on."""
    named = _named(request.header(b"connection"))
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {client.host}"]
    for raw, value in request.headers:
        name = raw.decode("latin-1")
        plain = name.replace("_", "-")
        if plain not in HOP_BY_HOP and plain not in OURS and name not in named:
            lines.append(f"{name}: {value.decode('latin-1')}")
    lines += [
        f"X-Forwarded-For: {client.address}",
        f"X-Forwarded-Proto: {'https' if client.tls else 'http'}",
        f"X-Forwarded-Host: {client.host}",
    ]
    if is_websocket(request):
        lines += ["Connection: Upgrade", "Upgrade: websocket"]
    elif not keep:
        lines.append("Connection: close")
    if request.body or request.method in WITH_BODY:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def is_websocket(request: Request) -> bool:
    """Whether the request wants to go on as a WebSocket (RFC 6455); no other upgrade is passed."""
    return (
        request.upgrade
        and request.method == "GET"
        and request.header(b"upgrade").strip().lower() == "websocket"
    )


def framing(method: str, status: int, headers: Pairs) -> Framing:
    """Where the body of an answer ends (RFC 9112, 6.3). Raises :class:`Bad` when in doubt."""
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise Bad(f"a broken header: {name[:40]!r}")
    lengths = [value for name, value in headers if name == "content-length"]
    codings = [value.lower() for name, value in headers if name == "transfer-encoding"]
    keep = not any(name == "connection" and "close" in _named(value) for name, value in headers)
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Bad("more than one length")
    if codings and codings[0] != "chunked":
        raise Bad("an unknown transfer coding")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise Bad("a broken length")
    if method == "HEAD" or status in (204, 304):
        length = int(lengths[0]) if lengths and status != 204 else None
        return Framing(length, chunked=False, keep=keep)
    if codings:
        return Framing(None, chunked=True, keep=keep)
    return Framing(int(lengths[0]) if lengths else None, chunked=False, keep=keep and bool(lengths))


def answer_lines(headers: Pairs) -> bytes:
    """The headers of an answer for the client; its length is written by the connection."""
    named = {each for name, value in headers if name == "connection" for each in _named(value)}
    lines = [
        f"{name}: {value}\r\n"
        for name, value in headers
        if name not in HOP_BY_HOP and name != "content-length" and name not in named
    ]
    return "".join(lines).encode("latin-1")


def _named(connection: str) -> set[str]:
    """The headers that a Connection header declares to be for one connection only."""
    return {each.strip().lower() for each in connection.split(",")}
