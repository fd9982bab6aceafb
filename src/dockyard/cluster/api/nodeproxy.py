"""Turns requests for logs and streams of a pod into requests to its node's kubelet.

Logs are copied; exec, attach and port-forward are upgraded connections that are passed on byte for
byte. Only the address that the Node object names is connected to, with our certificate; a kubelet
that redirects or refuses an upgrade gets nothing more (F07).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dockyard.base.aio.clock import Clock
from dockyard.base.wire.body import pieces
from dockyard.base.wire.http import Connection
from dockyard.base.wire.http import Request as HttpRequest
from dockyard.base.wire.tunnel import Tunnel, read_head
from dockyard.cluster.api.podoptions import for_kubelet
from dockyard.cluster.client.transport import Request
from dockyard.cluster.meta import errors

CONNECT_SECONDS = 10.0
PASSED_ON = (b"upgrade", b"connection", b"x-stream-protocol-version", b"sec-websocket-key",
             b"sec-websocket-version", b"sec-websocket-protocol",
             b"sec-websocket-extensions")  # fmt: skip
UPGRADES = ("websocket", "spdy/3.1")
PATHS = {"log": "containerLogs", "exec": "exec", "attach": "attach", "portforward": "portForward"}
Object = Mapping[str, Any]
Pairs = Iterable[tuple[str, str]]


class NodeProxy:
    """The way to the kubelets. ``node`` finds a Node by name."""

    def __init__(
        self, node: Callable[[str], Object | None], tls: ssl.SSLContext | None, clock: Clock
    ) -> None:
        self._node, self._tls, self._clock = node, tls, clock

    async def forward(
        self, request: HttpRequest, wanted: Request, query: Pairs, pod: Object,
        connection: Connection,
    ) -> None:  # fmt: skip
        """Pass a request on and its answer back. Raises ApiError until the answer has begun."""
        path = self._path(wanted, query, pod)
        if wanted.subresource != "log" and request.header(b"upgrade").lower() not in UPGRADES:
            raise errors.BadRequest(f"upgrade: only {' and '.join(UPGRADES)} are passed on")
        host, port = self._address(pod)
        try:
            async with self._clock.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=self._tls, server_hostname="kubelet" if self._tls else None
                )
        except (OSError, TimeoutError) as error:
            raise errors.InternalError(f"dial tcp {host}:{port}: {error or 'timed out'}") from error
        try:
            lines = [f"{request.method} {path} HTTP/1.1", "Host: kubelet"]
            for name, value in request.headers:
                if name in PASSED_ON and wanted.subresource != "log":
                    lines.append(f"{name.decode()}: {value.decode('latin-1')}")
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            status, headers = await read_head(reader)
            if status == 101:
                await Tunnel(connection, reader, writer).run(status, headers)
            elif status >= 300 or wanted.subresource != "log":
                body = await anext(pieces(reader, headers), b"")
                raise _refusal(status, body.decode(errors="replace").strip())
            else:
                connection.begin(200, b"Content-Type: text/plain\r\n")
                async for data in pieces(reader, headers):
                    connection.write(data)
                    await connection.drain()
                connection.end()
        finally:
            writer.close()

    def _path(self, wanted: Request, query: Pairs, pod: Object) -> str:
        name = pod["metadata"]["name"]
        base = f"/{PATHS[wanted.subresource]}/{quote(wanted.namespace)}/{quote(name)}"
        if wanted.subresource != "portforward":
            container = _container(pod, wanted.options.get("container", ""))
            base += f"/{quote(container)}"
        asked = for_kubelet(wanted.subresource, query, name)
        return f"{base}?{urlencode(asked)}" if asked else base

    def _address(self, pod: Object) -> tuple[str, int]:
        name = pod["spec"].get("nodeName")
        if not name:
            why = f"pod {pod['metadata']['name']} does not have a host assigned"
            raise errors.BadRequest(why)
        node = self._node(name)
        if node is None:
            raise errors.not_found("nodes", name)
        status = node.get("status", {})
        addresses = [a["address"] for a in status.get("addresses", ())
                     if a["type"] == "InternalIP"]  # fmt: skip
        port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 0)
        if not addresses or not port:
            raise errors.ServiceUnavailable(f"node {name} names no address of its kubelet")
        return addresses[0], int(port)


def _refusal(status: int, text: str) -> errors.ApiError:
    """What a kubelet's refusal is to the client; a redirection is none of the client's (F07)."""
    if 300 <= status < 400:
        return errors.InternalError("the kubelet redirects, which is not followed")
    return errors.from_status({"message": text or f"the kubelet answered {status}"},
                              status if status >= 400 else 502)  # fmt: skip


def _container(pod: Object, asked: str) -> str:
    """The container that is meant, in kube-apiserver's words where it is not clear."""
    spec = pod["spec"]
    names = [c["name"] for c in (*spec.get("containers", ()), *spec.get("initContainers", ()))]
    own = [c["name"] for c in spec.get("containers", ())]
    pod_name = pod["metadata"]["name"]
    if not asked:
        if len(own) == 1:
            return str(own[0])
        raise errors.BadRequest(
            f"a container name must be specified for pod {pod_name}, choose one of: "
            f"[{' '.join(own)}]"
        )
    if asked not in names:
        raise errors.BadRequest(f"container {asked} is not valid for pod {pod_name}")
    return asked
