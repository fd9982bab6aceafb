"""Turns a connection into a TLS connection within it: a tunnel through a proxy that speaks TLS.

``ssl`` wraps sockets only; what lies on another TLS connection goes through its memory buffers.
"""

import ssl
from collections.abc import Callable
from typing import TypeVar

from dockyard.node.image.registry.channel import Line

_PIECE = 64 << 10
T = TypeVar("T")


class TlsLayer:
    """:class:`Line` on top of another."""

    def __init__(self, under: Line, context: ssl.SSLContext, host: str) -> None:
        self._under = under
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._carry(self._tls.do_handshake)

    def recv_into(self, buffer: memoryview, /) -> int:
        try:
            data = self._carry(lambda: self._tls.read(len(buffer)))
        except ssl.SSLZeroReturnError:
            return 0
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._carry(lambda piece=rest[:_PIECE]: self._tls.write(piece)) :]  # type: ignore[misc]

    def settimeout(self, seconds: float | None, /) -> None:
        self._under.settimeout(seconds)

    def close(self) -> None:
        self._under.close()

    def fileno(self) -> int:
        return self._under.fileno()

    def _carry(self, act: Callable[[], T]) -> T:
        """Its result; what it wants to send or to see first goes to and fro."""
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
                continue
            self._flush()
            return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._under.sendall(data)

    def _fetch(self) -> None:
        room = bytearray(_PIECE)
        count = self._under.recv_into(memoryview(room))
        if count:
            self._incoming.write(memoryview(room)[:count])
        else:
            self._incoming.write_eof()
