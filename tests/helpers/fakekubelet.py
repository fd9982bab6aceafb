"""A kubelet without containers: it answers for logs and streams, and remembers what it was asked.

It runs in a thread of its own, with the certificate that a data root has for its kubelet. Streams
are what the API server passes on byte for byte: exec speaks ``v5.channel.k8s.io``, port-forward
answers 101 and then sends back, in upper case, whatever comes.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from dockyard.base.aio.clock import RealClock
from dockyard.base.wire import websocket
from dockyard.base.wire.http import Connection, Request

STDOUT, ERROR = b"\x01", b"\x03"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n"


class Echo(asyncio.Protocol):
    """What comes, in upper case."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data.upper())


class FakeKubelet:
    """Started by ``with``."""

    def __init__(self, pki: Path, log: bytes = b"one\ntwo\n") -> None:
        self.asked: list[tuple[str, list[tuple[str, str]]]] = []
        self.log = log
        self.refusal: tuple[int, bytes] | None = None
        """An answer to whatever comes: a status and header lines."""
        self.port = 0
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pki / "kubelet.crt", pki / "kubelet.key")
        self._tls.load_verify_locations(pki / "ca.crt")
        self._tls.verify_mode = ssl.CERT_REQUIRED  # the API server shows who it is
        self._loop = asyncio.new_event_loop()
        self._ready, self._thread = threading.Event(), threading.Thread(target=self._run)

    def __enter__(self) -> FakeKubelet:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop, clock = asyncio.Event(), RealClock()
        server = await self._loop.create_server(
            lambda: Connection(self._answer, clock), "127.0.0.1", 0, ssl=self._tls
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    def _answer(self, request: Request, connection: Connection) -> Awaitable[None] | None:
        target = urlsplit(request.target.decode())
        self.asked.append((target.path, parse_qsl(target.query)))
        what = target.path.split("/")[1]
        if self.refusal is not None:
            status, headers = self.refusal
            connection.respond(status, headers, b"secret of the backend\n")
        elif what == "containerLogs":
            connection.respond(200, b"Content-Type: text/plain\r\n", self.log)
        elif what == "exec" and websocket.is_wanted(request):
            return self._exec(request, connection)
        elif what == "portForward" and request.upgrade:
            connection.take_over(Echo(connection.transport))
            connection.transport.write(UPGRADED)
        else:
            connection.respond(404, b"Content-Type: text/plain\r\n", b"nothing here\n")
        return None

    async def _exec(self, request: Request, connection: Connection) -> None:
        """Say the command; one that is called ``false`` has ended with 3."""
        socket = websocket.accept(request, connection, RealClock(), ("v5.channel.k8s.io",))
        words = [value for name, value in self.asked[-1][1] if name == "command"]
        socket.send(STDOUT + " ".join(words).encode() + b"\n")
        status: dict[str, object] = {"metadata": {}, "status": "Success"}
        if words[0] == "false":
            cause = {"reason": "ExitCode", "message": "3"}
            status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                      "message": "command terminated with non-zero exit code: exit status 3",
                      "details": {"causes": [cause]}}  # fmt: skip
        socket.send(ERROR + json.dumps(status).encode())
        await socket.close()
