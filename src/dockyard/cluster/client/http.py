"""Turns requests of the client's seam into HTTP/1.1 over TLS, and answers into objects.

Connections are kept and reused. What may have reached the server is never sent twice, but a read:
only a get or a list is tried again when a kept connection turns out to be closed. A server that is
too busy (429) has done nothing: everything is tried again when it says so.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.queues import Closed
from dockyard.base.errors import Invalid, Unavailable
from dockyard.cluster.client.httpconnection import Answer, HttpConnection
from dockyard.cluster.client.transport import Object, Request, WatchEvent
from dockyard.cluster.meta.errors import from_status

METHODS = {
    "get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT",
    "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE",
}  # fmt: skip
READS = ("get", "list")
MOST_KEPT = 16
KEPT_SECONDS = 60.0
"""A connection that nobody has used for longer is not trusted to be open still."""
CONNECT_SECONDS = 10.0
CALL_SECONDS = 60.0
BUSY_TRIES = 10
LONGEST_WAIT = 30.0
"""Seconds that a busy server may make a client wait before each try."""


class HttpTransport:
    """The API at a URL, as the user of a certificate or a token."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        clock: Clock,
        *,
        token: str = "",
        accept: str = "application/json",
        warned: Callable[[str], None] | None = None,
    ) -> None:
        """``accept``: the form of the answers; ``warned`` hears what the server warns of."""
        parts = urlsplit(url)
        if (parts.scheme == "https") != (tls is not None) or not parts.hostname:
            raise Invalid(f"API: {url}: https needs a TLS context and a host; http has no TLS")
        if any(character in token for character in "\r\n\0"):
            raise Invalid("API: the token: has a line break in it; read it without its newline")
        self._host, self._port = parts.hostname, parts.port or (443 if tls else 80)
        self._tls, self._clock, self._token = tls, clock, token
        self._accept, self._warned = accept, warned
        self._kept: deque[tuple[float, HttpConnection]] = deque()

    async def call(self, request: Request) -> Object:
        for left in reversed(range(BUSY_TRIES)):
            answer = await self._answer(self._encoded(request), again=request.verb in READS)
            if answer.status != 429 or not left:
                break
            await self._clock.sleep(_pause(answer.retry_after))
        if self._warned is not None:
            for text in answer.warnings:
                self._warned(_warning(text))
        return _object(answer.status, answer.body)

    async def document(self, path: str, accept: str = "application/json") -> Object:
        """What stands at a path that is no resource's: discovery, version."""
        answer = await self._answer(self._head("GET", path, accept) + b"\r\n", again=True)
        return _object(answer.status, answer.body)

    async def watch(self, request: Request) -> AsyncIterator[WatchEvent]:
        connection = await self._connect()
        try:
            try:
                async with self._clock.timeout(CALL_SECONDS):
                    answer = await connection.exchange(self._encoded(request), stream=True)
            except TimeoutError:
                raise self._unavailable("no answer in time") from None
            if answer.lines is None:
                _object(answer.status, answer.body)
                raise self._unavailable(f"a watch was answered with {answer.status}")
            while True:
                try:
                    line = await connection.next_line(answer)
                except Closed:
                    return
                event = _event(line)
                if event.type == "ERROR":
                    raise from_status(event.object)
                yield event
        except Unavailable as error:
            if type(error) is Unavailable:
                raise self._unavailable(str(error)) from error
            raise
        finally:
            connection.close()

    async def close(self) -> None:
        while self._kept:
            self._kept.popleft()[1].close()

    async def _answer(self, encoded: bytes, *, again: bool) -> Answer:
        """A whole answer, over a kept connection if there is one."""
        while True:
            kept = self._reuse()
            connection = kept or await self._connect()
            try:
                async with self._clock.timeout(CALL_SECONDS):
                    answer = await connection.exchange(encoded)
            except TimeoutError:
                raise self._unavailable(f"no answer in {CALL_SECONDS:.0f} s") from None
            except Unavailable as error:
                connection.close()
                if kept and again and not connection.answered:
                    continue
                raise self._unavailable(str(error)) from error
            if connection.reusable and len(self._kept) < MOST_KEPT:
                self._kept.append((self._clock.monotonic(), connection))
            else:
                connection.close()
            return answer

    def _reuse(self) -> HttpConnection | None:
        oldest = self._clock.monotonic() - KEPT_SECONDS
        while self._kept:
            since, connection = self._kept.pop()
            if connection.reusable and since > oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        try:
            async with self._clock.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    HttpConnection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise self._unavailable("no connection in time") from None
        except OSError as error:
            raise self._unavailable(str(error)) from error
        return connection

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"API: {self._host}:{self._port}: {why}")

    def _encoded(self, request: Request) -> bytes:
        body = b"" if request.body is None else orjson.dumps(request.body)
        options = dict(request.options)
        if request.verb == "watch":
            options["watch"] = "true"
        target = path_of(request) + (f"?{urlencode(options)}" if options else "")
        head = self._head(METHODS[request.verb], target, self._accept)
        if body:
            head += b"Content-Type: %s\r\n" % (request.patch_type or "application/json").encode()
        if body or request.verb in ("create", "update", "patch"):
            head += b"Content-Length: %d\r\n" % len(body)
        return head + b"\r\n" + body

    def _head(self, method: str, target: str, accept: str) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {host}:{self._port}",
            f"Accept: {accept}",
            "User-Agent: dockyard",
        ]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        return "\r\n".join([*lines, ""]).encode()


def path_of(request: Request) -> str:
    """The path of a request: ``/apis/apps/v1/namespaces/shop/deployments/api/scale``."""
    resource = request.resource
    group = ["apis", resource.group] if resource.group else ["api"]
    parts = [*group, resource.version]
    if request.namespace:
        parts += ["namespaces", request.namespace]
    parts.append(resource.plural)
    parts += [part for part in (request.name, request.subresource) if part]
    if "." in parts or ".." in parts:
        raise Invalid(f"API: {request.name or request.namespace}: is no name of an object")
    return "/" + "/".join(quote(part, safe=":~") for part in parts)


def _pause(retry_after: str) -> float:
    return min(LONGEST_WAIT, float(retry_after)) if retry_after.isdecimal() else 1.0


def _warning(header: str) -> str:
    """The text of a Warning header: ``299 - "text"`` (RFC 7234, 5.5)."""
    found = re.match(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"', header)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else header


def _event(line: bytes) -> WatchEvent:
    try:
        found = orjson.loads(line)
        return WatchEvent(found["type"], found["object"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"a watch has a line that is no event: {line[:100]!r}") from error


def _object(status: int, body: bytes) -> Object:
    try:
        found: dict[str, Any] = orjson.loads(body)
    except ValueError:
        found = {"message": body[:500].decode(errors="replace")}
        status = status if status >= 300 else 502
    if status >= 300:  # redirects too: credentials stay with the server they are for
        raise from_status(found if isinstance(found, dict) else {}, status)
    return found
