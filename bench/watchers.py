"""Turns a port, a token and two numbers into how many events a second reach that many watchers.

``watchers.py PORT TOKEN WATCHERS CHANGES``: one client changes an object that all the others watch,
CHANGES times, each time when the answer to the one before is there.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import cast

import uvloop

PATH = "/api/v1/namespaces/default/configmaps"
NAME = "watched"


class Watcher(asyncio.Protocol):
    """Counts the events that come; the head of the answer is the first thing that does."""

    def __init__(self, request: bytes, changes: int) -> None:
        self._request, self._left, self._tail = request, changes, b""
        loop = asyncio.get_running_loop()
        self.begun, self.done = loop.create_future(), loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        data = self._tail + data
        found = data.count(b'"type":"MODIFIED"')
        self._left -= found
        self._tail = data[data.rfind(b'"type":"MODIFIED"') + 1 :][-16:] if found else data[-16:]
        if self._left <= 0 and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.begun, self.done):
            if not future.done():
                future.set_exception(error or ConnectionError("closed before all had come"))


def head(method: str, path: str, token: str, body: bytes = b"", media: str = "") -> bytes:
    """A request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    if body:
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    """A status and a body of a known length."""
    writer.write(request)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in answer.split("\r\n")[1:] if line)
    return int(answer.split(" ")[1]), await reader.readexactly(int(fields["content-length"]))


async def main(port: int, token: str, watchers: int, changes: int) -> float:
    """Events a second."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    await ask(reader, writer, head("DELETE", f"{PATH}/{NAME}", token))
    new = json.dumps({"metadata": {"name": NAME}, "data": {"a": "x" * 500}}).encode()
    status, body = await ask(reader, writer, head("POST", PATH, token, new, "application/json"))
    assert status == 201, body
    revision = json.loads(body)["metadata"]["resourceVersion"]
    target = f"{PATH}?watch=true&fieldSelector=metadata.name%3D{NAME}&resourceVersion={revision}"
    request = head("GET", target, token)
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(watchers):
        _, protocol = await loop.create_connection(
            lambda: Watcher(request, changes), "127.0.0.1", port, ssl=tls
        )
        found.append(protocol)
    async with asyncio.timeout(60):
        began = 0.0
        for number in range(changes):
            if number == 0:
                began = time.perf_counter()
            patch = json.dumps({"data": {"n": str(number)}}).encode()
            status, body = await ask(
                reader, writer,
                head("PATCH", f"{PATH}/{NAME}", token, patch, "application/merge-patch+json"),
            )  # fmt: skip
            assert status == 200, body
        await asyncio.gather(*(each.done for each in found))
    took = time.perf_counter() - began
    writer.close()
    for each in found:
        each.transport.abort()
    return watchers * changes / took


if __name__ == "__main__":
    port, token, watchers, changes = sys.argv[1:]
    rate = uvloop.run(main(int(port), token, int(watchers), int(changes)))
    print(json.dumps({"events_a_second": rate}))
