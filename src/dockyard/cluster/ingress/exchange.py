"""Turns a request that has been sent to a pod into its answer, copied to the client.

The answer's head is read by whoever sent the request; here its body goes on, in pieces, as fast as
the client takes it.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.base.wire.http import Connection
from dockyard.base.wire.tunnel import read_head
from dockyard.cluster.ingress.heads import Bad, Framing, Pairs, answer_lines, framing
from dockyard.cluster.ingress.pool import Link

ANSWER_SECONDS = 60.0
"""For the head of an answer, and between two pieces of its body."""
PIECE = 64 * 1024
LONGEST_LINE = 1024
SWITCHING = 101


class Answer(NamedTuple):
    """The head of an answer."""

    status: int
    headers: Pairs
    framing: Framing


class Torn(Exception):
    """An answer broke off after it had begun: only the end of the connection tells the client."""


async def read_answer(link: Link, method: str, clock: Clock) -> Answer:
    """The final answer's head. Raises ``ConnectionError``, ``TimeoutError`` or :class:`Bad`."""
    async with clock.timeout(ANSWER_SECONDS):
        while True:
            status, headers = await read_head(link.reader)
            if status < 100 or status > 599:
                raise Bad(f"a broken status: {status}")
            if status >= 200 or status == SWITCHING:
                return Answer(status, headers, framing(method, status, headers))


async def copy_answer(
    answer: Answer, link: Link, connection: Connection, method: str, clock: Clock
) -> bool:
    """Pass an answer on; whether its connection can be used again.

    Raises :class:`Torn` once something has been passed on.
    """
    status, headers, (length, chunked, keep) = answer
    lines = answer_lines(headers)
    if method == "HEAD" or status in (204, 304):
        connection.begin(status, lines, length)
        connection.end()
        return keep
    if length is not None and length <= PIECE:
        async with clock.timeout(ANSWER_SECONDS):
            body = await link.reader.readexactly(length)
        connection.respond(status, lines, body)
        return keep
    connection.begin(status, lines, length)
    try:
        if length is not None:
            await _copy(length, link.reader, connection, clock)
        elif chunked:
            await _copy_chunks(link.reader, connection, clock)
        else:
            await _copy_rest(link.reader, connection, clock)
    except (OSError, EOFError, TimeoutError, Bad) as error:
        raise Torn(str(error) or "timed out") from error
    connection.end()
    return keep


async def _copy_rest(reader: asyncio.StreamReader, connection: Connection, clock: Clock) -> None:
    while piece := await _read(reader, PIECE, clock):
        connection.write(piece)
        await connection.drain()


async def _copy(
    length: int, reader: asyncio.StreamReader, connection: Connection, clock: Clock
) -> None:
    while length:
        piece = await _read(reader, min(PIECE, length), clock)
        if not piece:
            raise ConnectionError("the answer ended before its length")
        length -= len(piece)
        connection.write(piece)
        await connection.drain()


async def _copy_chunks(reader: asyncio.StreamReader, connection: Connection, clock: Clock) -> None:
    while size := _size(await _line(reader, clock)):
        await _copy(size, reader, connection, clock)
        if await _line(reader, clock):
            raise Bad("a chunk longer than its size")
    while await _line(reader, clock):
        pass  # trailers are for one connection only


async def _read(reader: asyncio.StreamReader, size: int, clock: Clock) -> bytes:
    async with clock.timeout(ANSWER_SECONDS):
        return await reader.read(size)


async def _line(reader: asyncio.StreamReader, clock: Clock) -> bytes:
    try:
        async with clock.timeout(ANSWER_SECONDS):
            line = await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError(f"a broken chunk: {error}") from error
    if len(line) > LONGEST_LINE:
        raise Bad("a line of chunks is too long")
    return line[:-2]


def _size(line: bytes) -> int:
    """A chunk's size; its extensions mean nothing to us."""
    digits = line.partition(b";")[0].strip(b" \t").lower()
    if not 0 < len(digits) <= 15 or digits.strip(b"0123456789abcdef"):
        raise Bad(f"a broken chunk size: {line[:20]!r}")
    return int(digits, 16)
