"""Turns bytes into SPDY/3.1 frames and back (draft-mbelshe-httpbis-spdy-00 and its 3.1).

Kubernetes' streams (exec, attach, port-forward) are SPDY's last users. Header blocks go through one
zlib stream a direction, begun with a dictionary that the draft fixes. Windows and settings are read
and dropped: the field's clients send as much as they are read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

WORDS = """options head post put delete trace accept accept-charset accept-encoding accept-language
accept-ranges age allow authorization cache-control connection content-base content-encoding
content-language content-length content-location content-md5 content-range content-type date etag
expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since
last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer
retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate
method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin"""
ENDING = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
"""The dictionary (2.6.10.1): words, each behind its length, and then this text."""
CONTROL, VERSION = 0x8000, 3
OPEN, REPLY, RESET, SETTINGS, PING, AWAY, HEADERS, WINDOW = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
LARGEST_CONTROL = 64 * 1024
LARGEST_HEADERS = 64 * 1024
MOST_HEADERS = 200
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
"""What a reset says."""


class Broken(Exception):
    """The peer does not speak SPDY/3.1; the connection is over."""


class Frame(NamedTuple):
    """A frame. ``kind`` 0 is data (a piece of it: ``fin`` comes with the last)."""

    kind: int
    stream: int
    """The stream, or a ping's number."""
    fin: bool = False
    headers: Mapping[str, str] = {}
    data: bytes = b""


def dictionary() -> bytes:
    """1423 bytes."""
    words = (word.replace("_", " ").encode() for word in WORDS.split())
    return b"".join(struct.pack("!I", len(word)) + word for word in words) + ENDING.encode()


class Decoder:
    """One direction's bytes, in any pieces, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=dictionary())
        self._data_left = self._data_stream = 0
        self._data_fin = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises :class:`Broken`; nothing is to be fed after that."""
        self._buffer += data
        while True:
            if self._data_left:
                if not self._buffer:
                    return
                piece = bytes(self._buffer[: self._data_left])
                del self._buffer[: len(piece)]
                self._data_left -= len(piece)
                yield Frame(0, self._data_stream, self._data_fin and not self._data_left,
                            data=piece)  # fmt: skip
                continue
            if len(self._buffer) < 8:
                return
            first, rest = struct.unpack_from("!II", self._buffer)
            flags, length = rest >> 24, rest & 0xFFFFFF
            if not first >> 31:
                del self._buffer[:8]
                if not first:
                    raise Broken("spdy: data for stream 0")
                self._data_stream, self._data_left = first, length
                self._data_fin = bool(flags & FIN)
                if not length:
                    yield Frame(0, first, self._data_fin)
                continue
            if first >> 16 != CONTROL | VERSION:
                raise Broken(f"spdy: version {first >> 16 & 0x7FFF}: 3 is spoken here")
            if length > LARGEST_CONTROL:
                raise Broken(f"spdy: a control frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            yield self._control(first & 0xFFFF, flags, payload)

    def _control(self, kind: int, flags: int, payload: bytes) -> Frame:
        size = {OPEN: 10, REPLY: 4, RESET: 8, PING: 4, AWAY: 4, HEADERS: 4}.get(kind, 0)
        if len(payload) < size:
            raise Broken(f"spdy: frame type {kind} of {len(payload)} bytes")
        number = int.from_bytes(payload[:4], "big") if size else 0
        if kind != PING:
            number &= 0x7FFFFFFF
        headers = self._headers(payload[size:]) if kind in (OPEN, REPLY, HEADERS) else {}
        return Frame(kind, number, bool(flags & FIN), headers)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, LARGEST_HEADERS)
        except zlib.error as error:
            raise Broken(f"spdy: headers: {error}") from None
        if self._inflate.unconsumed_tail:
            raise Broken(f"spdy: more than {LARGEST_HEADERS} bytes of headers")
        try:
            (count,) = struct.unpack_from("!I", plain)
            if count > MOST_HEADERS:
                raise Broken(f"spdy: {count} headers")
            at, texts = 4, []
            for _ in range(2 * count):
                (length,) = struct.unpack_from("!I", plain, at)
                at += 4 + length
                if at > len(plain):
                    raise Broken("spdy: a header is cut off")
                texts.append(plain[at - length : at].decode("latin-1"))
        except struct.error:
            raise Broken("spdy: headers are cut off") from None
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}


class Encoder:
    """The other direction."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=dictionary())

    def open(self, stream: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        """SYN_STREAM."""
        return _control(OPEN, struct.pack("!IIH", stream, 0, 0) + self._headers(headers), fin)

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        """SYN_REPLY."""
        return _control(REPLY, struct.pack("!I", stream) + self._headers(headers or {}))

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack("!I", len(headers))
        for pair in headers.items():
            for text in pair:
                plain += struct.pack("!I", len(text)) + text.encode("latin-1")
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data(stream: int, payload: bytes, *, fin: bool = False) -> bytes:
    """A data frame."""
    return struct.pack("!II", stream, fin << 24 | len(payload)) + payload


def reset(stream: int, why: int) -> bytes:
    """RST_STREAM."""
    return _control(RESET, struct.pack("!II", stream, why))


def ping(number: int) -> bytes:
    """PING, or its answer."""
    return _control(PING, struct.pack("!I", number))


def away(last: int, why: int = 0) -> bytes:
    """GOAWAY: no new streams; 1 is a fault in the protocol."""
    return _control(AWAY, struct.pack("!II", last, why))


def _control(kind: int, payload: bytes, fin: bool = False) -> bytes:
    return struct.pack("!HHI", CONTROL | VERSION, kind, fin << 24 | len(payload)) + payload
