"""Turns the body of a request into pieces that a handler reads as they come, never more than a few
at a time: a client that sends faster than they are taken is not read from meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST = 256 * 1024
"""Bytes that wait to be read before the connection is."""


class Incoming:
    """One body. ``listen(True)`` lets the connection be read, ``listen(False)`` stops that."""

    __slots__ = ("_broken", "_dropped", "_invited", "_listen", "_pieces", "_ready", "_size",
                 "_start", "ended", "length")  # fmt: skip

    def __init__(
        self, length: int | None, listen: Callable[[bool], None], start: Callable[[], None]
    ) -> None:
        """``length`` in bytes, None where it comes in chunks; ``start``: invites what waits for
        "100 Continue"."""
        self.length, self.ended = length, False
        self._listen, self._start = listen, start
        self._pieces: list[bytes] = []
        self._size = 0
        self._ready: asyncio.Future[None] | None = None
        self._broken = self._dropped = self._invited = False

    async def read(self) -> bytes:
        """What has come since the last time; empty at the end.

        Raises ``ConnectionResetError`` where the client leaves before it.
        """
        if not self._invited:
            self._invited = True
            self._start()
        while not self._pieces:
            if self.ended:
                return b""
            if self._broken:
                raise ConnectionResetError("the client left in the middle of a body")
            self._ready = asyncio.get_running_loop().create_future()
            await self._ready
        pieces, self._pieces, full = self._pieces, [], self._size > MOST
        self._size = 0
        if full:
            self._listen(True)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def left(self) -> bytes:
        """What had come and was not read, of a body that has broken off."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        return b"".join(pieces)

    def feed(self, piece: bytes) -> None:
        """A piece has come."""
        if self._dropped:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MOST:
            self._listen(False)
        self._wake()

    def finish(self) -> None:
        """All has come."""
        self.ended = True
        self._wake()

    def fail(self) -> None:
        """Nothing more comes, though it should."""
        self._broken = True
        self._wake()

    def drop(self) -> None:
        """Nobody reads what comes any more."""
        self._dropped = True
        if self._size > MOST:
            self._listen(True)
        self._pieces, self._size = [], 0

    def _wake(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
