"""Turns an address and files of certificates into sockets that answer, and follows the files.

What is listened on stays; who answers there is another server for each set of files. So no
connection is lost, and nobody resumes a session that older authorities admitted (G23).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Invalid, Unavailable

log = logging.getLogger("dockyard.registry")
WATCH_SECONDS = 5.0
"""How often the files are looked at."""
_BACKLOG = 1024


class Tls(NamedTuple):
    """Files in PEM."""

    certificate: str
    key: str
    client_authority: str = ""
    """Clients show a certificate that it signed."""
    others: bool = False
    """Who shows a password or token instead may come in too."""


class Listener:
    """The servers at one address; open connections are not theirs to end."""

    def __init__(self, connection: Callable[[], asyncio.BaseProtocol]) -> None:
        self._connection = connection
        self._servers: list[asyncio.Server] = []

    async def open(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """The port that it is."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                self._connection, host, port, ssl=context, backlog=_BACKLOG
            )
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise Unavailable(
                f"registry: {host}:{port}: {why}; listen on another address or port"
            ) from error
        self._servers = [server]
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def renew(self, context: ssl.SSLContext) -> None:
        """New connections are made with this context."""
        loop = asyncio.get_running_loop()
        made: list[asyncio.Server] = []
        try:
            for listening in [each for old in self._servers for each in old.sockets]:
                again = socket.socket(fileno=os.dup(listening.fileno()))
                made.append(
                    await loop.create_server(
                        self._connection, sock=again, ssl=context, backlog=_BACKLOG
                    )
                )
        except OSError:
            for server in made:
                server.close()
            raise
        self.close()
        self._servers = made

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def reload(self, clock: Clock, tls: Tls, again: asyncio.Event) -> None:
        """New connections get what is in the files now; open ones go on. Without end."""
        seen = _stamps(tls)
        while True:
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(WATCH_SECONDS):
                    await again.wait()
            asked = again.is_set()
            again.clear()
            stamps = _stamps(tls)
            if stamps == seen and not asked:
                continue
            seen = stamps
            try:
                await self.renew(tls_context(tls))
            except (Invalid, OSError) as error:  # what does not fit leaves the old ones in place
                log.error("the certificate stays as it is: %s", error)
                continue
            log.warning("certificate loaded anew from %s", tls.certificate)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What connections are made with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_authority:
            context.load_verify_locations(tls.client_authority)
            context.verify_mode = ssl.CERT_OPTIONAL if tls.others else ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        files = ", ".join(part for part in tls[:3] if part)
        raise Invalid(f"registry: TLS: {files}: {error}") from error
    return context


def _stamps(tls: Tls) -> list[tuple[int, int, int]]:
    found = []
    for path in (tls.certificate, tls.key, tls.client_authority):
        with contextlib.suppress(OSError):
            state = os.stat(path)
            found.append((state.st_mtime_ns, state.st_ino, state.st_size))
    return found
