"""Turns requests of the client's seam into HTTP/1.1 over TLS, and answers into objects.

Connections are kept and reused. What may have reached the server is never sent twice, but a read:
only a get or a list is tried again on a fresh connection when a kept one turns out to be closed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from dockyard.base.errors import Unavailable
from dockyard.cluster.client.transport import Object, Request, WatchEvent
from dockyard.cluster.meta.errors import from_status

METHODS = {
    "get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT",
    "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE",
}  # fmt: skip
READS = ("get", "list")
LARGEST_LINE = 8 * 1024 * 1024
MOST_KEPT = 16

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpTransport:
    """The API at a URL, as the user of a certificate or a token."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, token: str = "") -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if tls else 80)
        self._tls, self._token = tls, token
        self._kept: deque[Streams] = deque()

    async def call(self, request: Request) -> Object:
        retry = request.verb in READS
        while True:
            streams, reused = await self._connection()
            try:
                status, body, keep = await self._exchange(streams, request)
            except (OSError, EOFError, ValueError) as error:
                streams[1].close()
                if reused and retry:
                    continue
                raise Unavailable(f"API: {self._host}:{self._port}: {error}") from error
            except BaseException:
                streams[1].close()
                raise
            if keep and len(self._kept) < MOST_KEPT:
                self._kept.append(streams)
            else:
                streams[1].close()
            return _object(status, body)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        streams, _ = await self._connection(fresh=True)
        reader, writer = streams
        try:
            writer.write(self._head(request, b""))
            status, headers = await _read_head(reader)
            if status != 200:
                _object(status, await _read_body(reader, headers))
            async for line in _lines(reader):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"])
                yield WatchEvent(event["type"], event["object"])
        except (OSError, EOFError, ValueError) as error:
            raise Unavailable(f"API: {self._host}:{self._port}: {error}") from error
        finally:
            writer.close()

    async def close(self) -> None:
        while self._kept:
            self._kept.popleft()[1].close()

    async def _connection(self, fresh: bool = False) -> tuple[Streams, bool]:
        while self._kept and not fresh:
            streams = self._kept.pop()
            if not streams[0].at_eof() and not streams[1].is_closing():
                return streams, True
            streams[1].close()
        try:
            opened = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, limit=LARGEST_LINE
            )
        except OSError as error:
            raise Unavailable(f"API: {self._host}:{self._port}: {error}") from error
        return opened, False

    async def _exchange(self, streams: Streams, request: Request) -> tuple[int, bytes, bool]:
        reader, writer = streams
        body = b"" if request.body is None else orjson.dumps(request.body)
        writer.write(self._head(request, body) + body)
        await writer.drain()
        status, headers = await _read_head(reader)
        answer = await _read_body(reader, headers)
        return status, answer, headers.get("connection", "").lower() != "close"

    def _head(self, request: Request, body: bytes) -> bytes:
        options = dict(request.options)
        if request.verb == "watch":
            options["watch"] = "true"
        target = path_of(request) + (f"?{urlencode(options)}" if options else "")
        lines = [
            f"{METHODS[request.verb]} {target} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            "Accept: application/json",
            "User-Agent: dockyard",
        ]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        if body:
            lines.append(f"Content-Type: {request.patch_type or 'application/json'}")
        if body or request.verb in ("create", "update", "patch"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode()


def path_of(request: Request) -> str:
    """The path of a request: ``/apis/apps/v1/namespaces/shop/deployments/api/scale``."""
    resource = request.resource
    parts = ["apis", resource.group, resource.version] if resource.group else (
        ["api", resource.version])  # fmt: skip
    if request.namespace:
        parts += ["namespaces", request.namespace]
    parts.append(resource.plural)
    parts += [part for part in (request.name, request.subresource) if part]
    return "/" + "/".join(quote(part, safe=":~") for part in parts)


def _object(status: int, body: bytes) -> Object:
    try:
        found: dict[str, Any] = orjson.loads(body)
    except ValueError:
        found = {"message": body[:500].decode(errors="replace")}
    if status >= 400:
        raise from_status(found, status)
    return found


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        status = int(first.split(" ", 2)[1])
        if status >= 200:
            pairs = (line.partition(":") for line in lines)
            return status, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join([chunk async for chunk in _chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """JSON lines, however they are cut into chunks."""
    rest = b""
    async for chunk in _chunks(reader):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
