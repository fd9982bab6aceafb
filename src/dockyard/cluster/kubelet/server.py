"""Turns the API server's requests about this node's pods into answers: logs, streams, health.

Every client shows a certificate of the cluster's authority; only the API server's is let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Conflict, DockyardError, Invalid, NotFound, Unsupported
from dockyard.base.wire.body import pieces
from dockyard.base.wire.http import Connection, Request
from dockyard.base.wire.tunnel import Tunnel, read_head
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet import logfiles, logs
from dockyard.cluster.kubelet.sandboxconfig import log_folder
from dockyard.cluster.kubelet.verdicts import PREFIX
from dockyard.interfaces.cri import READY, RuntimeService, StreamOptions

TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
API_SERVER = "system:apiserver"
SECTIONS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
STATUSES = ((NotFound, 404), (Conflict, 409), (Unsupported, 501), (DockyardError, 400))
HANDSHAKE = (b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version",
             b"sec-websocket-protocol", b"x-stream-protocol-version")  # fmt: skip
MOST_PORTS = 64
Query = Mapping[str, Sequence[str]]


class KubeletServer:
    """The handler of the kubelet's HTTPS port."""

    def __init__(
        self,
        find_pod: Callable[[str, str], Object | None],
        runtime: RuntimeService,
        pods_folder: Path,
        clock: Clock,
    ) -> None:
        self._find_pod, self._runtime = find_pod, runtime
        self._folder, self._clock = pods_folder, clock

    def __call__(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        if not _is_api_server(connection):
            connection.respond(403, TEXT, b"Forbidden: only the API server may ask")
            return None
        return self._answer(request, connection)

    async def _answer(self, request: Request, connection: Connection) -> None:
        parts = urlsplit(request.target.decode("latin-1"))
        words = [unquote(word) for word in parts.path.split("/")[1:]]
        query = parse_qs(parts.query, keep_blank_values=True)
        try:
            match words:
                case ["healthz"]:
                    connection.respond(200, TEXT, b"ok")
                case ["containerLogs", namespace, pod, container]:
                    await self._logs(self._pod(namespace, pod), container, query, connection)
                case ["exec" | "attach" as verb, namespace, pod, container]:
                    status = container_status(self._pod(namespace, pod), container)
                    url = await self._url(verb, _running_id(status, container), query)
                    await pass_on(url, request, connection)
                case ["portForward", namespace, pod]:
                    url = await self._forward(self._pod(namespace, pod), query)
                    await pass_on(url, request, connection)
                case _:
                    connection.respond(404, TEXT, b"no such path")
        except DockyardError as error:
            number = next(number for kind, number in STATUSES if isinstance(error, kind))
            connection.respond(number, TEXT, str(error).encode())

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self._find_pod(namespace, name)
        if pod is None:
            raise NotFound(f'pod "{name}" not found on this node')
        return pod

    async def _url(self, verb: str, container_id: str, query: Query) -> str:
        def wants(name: str) -> bool:
            return query.get(name, ["0"])[-1] in ("1", "true")

        options = StreamOptions(wants("input"), wants("output"), wants("error"), wants("tty"))
        if not (options.stdin or options.stdout or options.stderr):
            raise Invalid("you must specify at least 1 of stdin, stdout, stderr")
        if verb == "attach":
            return await self._runtime.attach(container_id, options)
        command = tuple(query.get("command", ()))
        if not command:
            raise Invalid("exec: you must specify at least one command for the container")
        return await self._runtime.exec(container_id, command, options)

    async def _forward(self, pod: Object, query: Query) -> str:
        """Whose ports a client names in its streams, or, in the older form, in the query."""
        ports = [text for value in query.get("ports", ()) for text in value.split(",")]
        if len(ports) > MOST_PORTS or not all(map(_is_port, ports)):
            raise Invalid(f"port-forward: ports {','.join(ports)[:80]!r}: at most {MOST_PORTS} "
                          "numbers from 1 to 65535")  # fmt: skip
        metadata = pod["metadata"]
        for sandbox in await self._runtime.list_pod_sandbox(metadata["uid"]):
            if sandbox.state == READY:
                return await self._runtime.port_forward(sandbox.id, tuple(map(int, ports)))
        raise NotFound(f'unable to forward port because pod "{metadata["name"]}" is not running')

    async def _logs(
        self, pod: Object, container: str, query: Query, connection: Connection
    ) -> None:
        wanted = logs.parse({name: values[-1] for name, values in query.items()},
                            self._clock.time())  # fmt: skip
        metadata = pod["metadata"]
        folder = self._folder / log_folder(pod) / container
        path = logfiles.attempt(folder, previous=wanted.previous)
        if path is None:
            raise Invalid(_no_log(pod, container, wanted.previous))

        def running() -> bool:
            latest = self._find_pod(metadata["namespace"], metadata["name"])
            if latest is None or latest["metadata"]["uid"] != metadata["uid"]:
                return False
            return not _is_over(container_status(latest, container), int(path.stem))

        connection.begin(200, TEXT)
        with contextlib.suppress(ConnectionResetError):  # a client may leave a log at any time
            async for piece in logs.read(path, wanted, self._clock, running):
                connection.write(piece)
                await connection.drain()
                if connection.closed:
                    return
            connection.end()


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) < 6 and 0 < int(text) < 1 << 16


def container_status(pod: Object, container: str) -> Object:
    """What the pod's status says of a container; an empty object where it says nothing."""
    for section in SECTIONS:
        for found in pod.get("status", {}).get(section) or ():
            if found["name"] == container:
                status: Object = found
                return status
    return {}


def _is_over(status: Object, attempt: int) -> bool:
    """Whether the status tells of the attempt's end: it may be late, and know only one before."""
    known = status.get("restartCount", 0)
    state = status.get("state", {})
    ended = "terminated" in state or (
        "waiting" in state and "terminated" in status.get("lastState", {})
    )
    return bool(known > attempt or (known == attempt and ended))


def _running_id(status: Object, container: str) -> str:
    if "running" not in status.get("state", {}):
        raise NotFound(f'container not found ("{container}")')
    return str(status["containerID"]).removeprefix(PREFIX)


def _no_log(pod: Object, container: str, previous: bool) -> str:
    """Why there is none, in the kubelet's words."""
    name = pod["metadata"]["name"]
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    waiting = container_status(pod, container).get("state", {}).get("waiting") or {}
    reason = waiting.get("reason") or "ContainerCreating"
    return f'container "{container}" in pod "{name}" is waiting to start: {reason}'


async def pass_on(url: str, request: Request, connection: Connection) -> None:
    """Carry an upgraded connection to a streaming server, byte for byte."""
    where = urlsplit(url)
    assert where.hostname is not None
    try:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
    except OSError as error:
        connection.respond(502, TEXT, f"streaming server: {error}".encode())
        return
    try:
        lines = [f"{request.method} {where.path} HTTP/1.1", f"Host: {where.netloc}"]
        lines += [f"{name.decode()}: {value.decode('latin-1')}"
                  for name, value in request.headers if name in HANDSHAKE]  # fmt: skip
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status, headers = await read_head(reader)
        if status == 101:
            await Tunnel(connection, reader, writer).run(status, headers)
        else:
            body = await anext(pieces(reader, headers), b"")
            connection.respond(status if status >= 400 else 502, TEXT, body)
    except ConnectionError as error:
        connection.respond(502, TEXT, f"streaming server: {error}".encode())
    finally:
        writer.close()


def _is_api_server(connection: Connection) -> bool:
    found = connection.transport.get_extra_info("ssl_object")
    if not isinstance(found, ssl.SSLObject):
        return False
    subject = (found.getpeercert() or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]  # type: ignore[str-unpack]
    return names == [API_SERVER]
