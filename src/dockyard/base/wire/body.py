"""Turns what comes behind an HTTP answer's head into the pieces of its body (RFC 9112, 6.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

PIECE = 64 * 1024


async def pieces(
    reader: asyncio.StreamReader, headers: Sequence[tuple[str, str]]
) -> AsyncIterator[bytes]:
    """The body, as it comes. Raises ``ConnectionError`` where it ends too early."""
    fields = dict(headers)
    try:
        if fields.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).partition(b";")[0], 16):
                async for piece in _exactly(reader, size):
                    yield piece
                await reader.readexactly(2)
        elif "content-length" in fields:
            async for piece in _exactly(reader, int(fields["content-length"])):
                yield piece
        else:
            while piece := await reader.read(PIECE):
                yield piece
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise ConnectionError(f"an HTTP answer that was cut off: {error}") from error


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        piece = await reader.read(min(size, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(piece)
        yield piece
