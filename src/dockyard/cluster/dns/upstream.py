"""Turns a query that is not the cluster's into the answer of one of the node's resolvers.

Each query has a fresh socket, so a port and an id of its own (RFC 5452); an answer counts only if
id and question are the ones asked. One that was cut short is asked for again over TCP (RFC 7766).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Unavailable

log = logging.getLogger("dockyard.dns")
PORT = 53
SECONDS = 2.0
MOST_AT_ONCE = 200
HEADER = 12
LARGEST = 65535
ANSWER, CUT_SHORT = 0x80, 0x02


class Upstreams:
    """The node's resolvers, the first one first."""

    def __init__(self, servers: tuple[str, ...], clock: Clock, port: int = PORT) -> None:
        self._servers, self._clock, self._port = servers, clock, port
        self._asking = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(self, query: bytes) -> bytes:
        """The answer to a query. Raises :class:`Unavailable` if no resolver has one."""
        for server in self._servers:
            try:
                async with self._asking, self._clock.timeout(SECONDS):
                    return await self._ask(server, query)
            except (OSError, EOFError, TimeoutError) as error:
                log.debug("upstream %s: %s", server, error or "timed out")
        servers = ", ".join(self._servers) or "none"
        raise Unavailable(f"dns: no answer from the node's resolvers: {servers}")

    async def _ask(self, server: str, query: bytes) -> bytes:
        mine = secrets.token_bytes(2) + query[2:]
        found = await self._over_udp(server, mine)
        if found[2] & CUT_SHORT:
            found = await self._over_tcp(server, mine)
        return query[:2] + found[2:]

    async def _over_udp(self, server: str, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ipaddress.ip_address(server).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            peer.connect((server, self._port))
            await loop.sock_sendall(peer, query)
            while True:
                found = await loop.sock_recv(peer, LARGEST)
                if answers(found, query):
                    return found

    async def _over_tcp(self, server: str, query: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            size = int.from_bytes(await reader.readexactly(2), "big")
            found = await reader.readexactly(size)
        finally:
            writer.close()
        if not answers(found, query):
            raise ConnectionError("an answer to something else")
        return found


def answers(found: bytes, query: bytes) -> bool:
    """Whether a packet answers a query: same id, same question; an error may leave it out."""
    if len(found) < HEADER or found[:2] != query[:2] or not found[2] & ANSWER:
        return False
    if found[4:6] == b"\0\0":
        return found[3] & 0x0F != 0
    end = _question_end(query)
    return found[4:6] == query[4:6] and found[HEADER:end].lower() == query[HEADER:end].lower()


def _question_end(query: bytes) -> int:
    """Where the question of a parsed query ends: its labels, type and class."""
    place = HEADER
    while place < len(query) and query[place]:
        place += query[place] + 1
    return place + 5
