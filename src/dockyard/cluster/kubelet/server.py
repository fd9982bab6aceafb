"""Turns the API server's requests about this node's pods into answers: logs, health.

Every client shows a certificate of the cluster's authority; only the API server's is let in.
"""

from __future__ import annotations

import os
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.now import parse_stamp
from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.base.wire.http import Connection, Request
from dockyard.cluster.client.transport import Object

TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
API_SERVER = "system:apiserver"
POLL_SECONDS = 0.1
PIECE = 256 * 1024


class KubeletServer:
    """The handler of the kubelet's HTTPS port."""

    def __init__(
        self, find_pod: Callable[[str, str], Object | None], pods_folder: Path, clock: Clock
    ) -> None:
        self._find_pod, self._folder, self._clock = find_pod, pods_folder, clock

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        if not _is_api_server(connection):
            connection.respond(403, TEXT, b"Forbidden: only the API server may ask")
            return None
        return self._answer(request, connection)

    async def _answer(self, request: Request, connection: Connection) -> None:
        parts = urlsplit(request.target.decode("latin-1"))
        words = [unquote(word) for word in parts.path.split("/")[1:]]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            match words:
                case ["healthz"]:
                    connection.respond(200, TEXT, b"ok")
                case ["containerLogs", namespace, pod, container]:
                    await self._logs(namespace, pod, container, query, connection)
                case ["exec" | "attach" | "portForward" as what, *_]:
                    connection.respond(501, TEXT, f"{what}: not implemented".encode())
                case _:
                    connection.respond(404, TEXT, b"no such path")
        except NotFound as error:
            connection.respond(404, TEXT, str(error).encode())
        except DockyardError as error:
            connection.respond(400, TEXT, str(error).encode())

    async def _logs(
        self, namespace: str, name: str, container: str, query: dict[str, str],
        connection: Connection,
    ) -> None:  # fmt: skip
        pod = self._find_pod(namespace, name)
        if pod is None:
            raise NotFound(f'pod "{name}" not found on this node')
        folder = self._folder / pod["metadata"]["uid"] / "logs" / container
        path = attempt(folder, previous=query.get("previous") == "true")
        if path is None:
            raise Invalid(
                f'container "{container}" in pod "{name}" is waiting to start: no log is there'
            )
        tail = int(query["tailLines"]) if query.get("tailLines") else None
        since = float(query.get("sinceSeconds") or 0)
        after = self._clock.time() - since if since else 0.0
        if query.get("sinceTime"):
            after = parse_stamp(query["sinceTime"])
        stamps, limit = query.get("timestamps") == "true", int(query.get("limitBytes") or 0)
        lines = (text(line, stamps) for line in path.open("rb") if _is_after(line, after))
        chosen: Iterator[bytes] | deque[bytes] = lines if tail is None else deque(lines, tail)
        connection.begin(200, TEXT)
        sent = 0
        for line in chosen:
            piece = line[: limit - sent] if limit else line
            connection.write(piece)
            sent += len(piece)
            if limit and sent >= limit:
                break
            await connection.drain()
        if query.get("follow") == "true" and not limit:
            await self._follow(path, stamps, pod, container, connection)
        connection.end()

    async def _follow(
        self, path: Path, stamps: bool, pod: Object, container: str, connection: Connection
    ) -> None:
        """What is written from now on, until the container has ended or the client leaves."""
        metadata = pod["metadata"]
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            partial = b""
            while not connection.closed:
                latest = self._find_pod(metadata["namespace"], metadata["name"])
                running = latest is not None and _runs(latest, container)
                while line := file.readline():
                    partial += line
                    if partial.endswith(b"\n"):
                        connection.write(text(partial, stamps))
                        partial = b""
                await connection.drain()
                if not running:
                    return
                await self._clock.sleep(POLL_SECONDS)


def attempt(folder: Path, *, previous: bool) -> Path | None:
    """The newest log of a container, or the one before; never through a link (F24)."""
    if not folder.is_dir():
        return None
    logs = sorted(
        (path for path in folder.glob("*.log") if path.stem.isdecimal() and not path.is_symlink()),
        key=lambda path: int(path.stem),
    )
    index = -2 if previous else -1
    return logs[index] if len(logs) >= -index else None


def text(line: bytes, stamps: bool) -> bytes:
    """What a container printed, out of a line of its CRI log."""
    stamp, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, content = rest.partition(b" ")
    if tag == b"P":
        content = content.removesuffix(b"\n")
    return stamp + b" " + content if stamps else content


def _is_after(line: bytes, when: float) -> bool:
    if not when:
        return True
    try:
        return parse_stamp(line.partition(b" ")[0].decode()) >= when
    except ValueError:  # a line that a crash cut off
        return False


def _runs(pod: Object, container: str) -> bool:
    for found in pod.get("status", {}).get("containerStatuses") or ():
        if found["name"] == container:
            return "running" in found.get("state", {})
    return False


def _is_api_server(connection: Connection) -> bool:
    found = connection.transport.get_extra_info("ssl_object")
    if not isinstance(found, ssl.SSLObject):
        return False
    subject = (found.getpeercert() or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[str-unpack]
    return names == [API_SERVER]
