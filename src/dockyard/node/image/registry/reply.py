"""Turns what comes through a connection into one answer and its body (RFC 9112).

What could be read in two ways is refused, never guessed at (C09): two lengths, a length beside a
transfer coding, another coding than ``chunked``, a folded or broken line, a line that ends in LF
alone. Heads, chunks' lines and trailers have limits (C10); a body that ends before its end is an
error that says so, so that whoever reads can take it up there.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.image import RegistryUnavailable

LARGEST_HEAD = 64 << 10
MOST_HEADERS = 200
MOST_INTERIM = 8
"""Answers of the 1xx kind before the one that counts."""
_LONGEST_CHUNK_LINE = 4096
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Doubtful(RegistryUnavailable):
    """An answer that is no HTTP, or that two readers could take for two answers."""


class CutOff(ConnectionError):
    """The connection ended before the answer did."""


class Headers:
    """An answer's fields; names in any case."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first of them."""
        return next(iter(self.get_all(name)), default)

    def get_all(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self._fields if key == wanted]


class Framing(NamedTuple):
    """Where a body ends: after so many bytes, at its last chunk, or (neither) with the
    connection. ``keep``: whether another request may follow."""

    length: int | None
    chunked: bool
    keep: bool


def framing(method: str, status: int, headers: Headers, *, old: bool) -> Framing:
    """RFC 9112, section 6.3. ``old``: HTTP/1.0."""
    lengths, codings = headers.get_all("content-length"), headers.get_all("transfer-encoding")
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        raise Doubtful("more than one length; refused")
    if codings and (old or codings[0].lower() != "chunked"):
        raise Doubtful(f"transfer coding {codings[0][:40]!r}; refused")
    if lengths and _LENGTH.fullmatch(lengths[0]) is None:
        raise Doubtful(f"length {lengths[0][:40]!r}; refused")
    named = {word.strip().lower() for line in headers.get_all("connection")
             for word in line.split(",")}  # fmt: skip
    keep = "close" not in named and not old
    if method == "HEAD" or status in (204, 304):
        return Framing(0, False, keep)
    if codings:
        return Framing(None, True, keep)
    length = int(lengths[0]) if lengths else None
    return Framing(length, False, keep and length is not None)


class Reply:
    """One answer. ``read`` gives its body; after its end ``whole`` is true."""

    def __init__(self, source: "Source", method: str) -> None:
        self._source = source
        self.status, old, self.headers = _head(source)
        self._length, self._chunked, self.keep = framing(method, self.status, self.headers, old=old)
        if self._chunked:
            self._length = 0
        self.whole = self._length == 0 and not self._chunked
        self._begun = False

    def read(self, most: int = CHUNK) -> bytes:
        """The next bytes, empty at the end. Raises :class:`CutOff` where they end too early."""
        if self.whole:
            return b""
        if self._chunked and self._length == 0 and not self._next_chunk():
            return b""
        wanted = most if self._length is None else min(most, self._length)
        data = self._source.take(wanted)
        if not data:
            if self._length is not None:
                raise CutOff(f"the connection ended {self._length} bytes too early")
            self.whole = True
        elif self._length is not None:
            self._length -= len(data)
            self.whole = self._length == 0 and not self._chunked
        return data

    def _next_chunk(self) -> bool:
        if self._begun and self._source.line(2) != b"":
            raise Doubtful("a chunk that does not end where it says; refused")
        self._begun = True
        line = self._source.line(_LONGEST_CHUNK_LINE)
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise Doubtful(f"a chunk of {line[:40]!r} bytes; refused")
        self._length = int(found[1], 16)
        if self._length == 0:
            for _ in _fields(self._source):
                pass  # what stands behind a body steers nothing (RFC 9110, section 6.5.1)
            self.whole = True
        return not self.whole


def _head(source: "Source") -> tuple[int, bool, Headers]:
    """Status, whether it is HTTP/1.0, and fields."""
    for _ in range(MOST_INTERIM + 1):
        line = source.line(LARGEST_HEAD)
        found = _STATUS.fullmatch(line)
        if found is None:
            raise Doubtful(f"its answer begins with {line[:40]!r}, which is no HTTP/1.1")
        headers = Headers(list(_fields(source)))
        status = int(found[2])
        if status == 101:
            raise Doubtful("it switches to another protocol unasked; refused")
        if status >= 200:
            return status, found[1] == b"0", headers
    raise Doubtful(f"more than {MOST_INTERIM} interim answers; refused")


def _fields(source: "Source") -> Iterator[tuple[str, str]]:
    size = 0
    for count in range(MOST_HEADERS + 1):
        line = source.line(LARGEST_HEAD - size)
        size += len(line) + 2
        if not line:
            return
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Doubtful(f"a broken header: {line[:40]!r}; refused")
        if count < MOST_HEADERS:
            yield found[1].decode("ascii").lower(), found[2].strip(b"\t ").decode("latin-1")
    raise Doubtful(f"more than {MOST_HEADERS} headers; refused")


class Source:
    """Bytes of a connection, with what was read too far."""

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        """``receive`` fills the beginning of a buffer: how many bytes, 0 at the end."""
        self._receive = receive
        self._ahead = b""
        self._failed: OSError | None = None

    @property
    def empty(self) -> bool:
        return not self._ahead

    def take(self, most: int) -> bytes:
        """Some bytes, at most so many; none at the end. What came before an error is not lost: the
        error comes with the next call."""
        if self._ahead:
            taken, self._ahead = self._ahead[:most], self._ahead[most:]
            return taken
        if self._failed is not None:
            raise self._failed
        room = bytearray(most)
        view, filled = memoryview(room), 0
        while filled < most:
            try:
                count = self._receive(view[filled:])
            except OSError as error:
                if not filled:
                    raise
                self._failed = error
                break
            if not count:
                break
            filled += count
        return bytes(view[:filled])

    def line(self, most: int) -> bytes:
        """Up to the next CRLF, which is left out; longer ones are refused while they come."""
        searched = 0
        while True:
            at = self._ahead.find(b"\n", searched)
            if at > max(most, 0) + 1 or (at < 0 and len(self._ahead) > max(most, 0) + 2):
                raise Doubtful(f"a line of more than {most} bytes; refused")
            if at >= 0:
                break
            searched = len(self._ahead)
            if self._failed is not None:
                raise self._failed
            room = bytearray(_LONGEST_CHUNK_LINE)
            count = self._receive(memoryview(room))
            if not count:
                raise CutOff("the connection ended without an answer" if not self._ahead
                             else "the connection ended within an answer")  # fmt: skip
            self._ahead += bytes(memoryview(room)[:count])
        line, self._ahead = self._ahead[:at], self._ahead[at + 1 :]
        if not line.endswith(b"\r"):
            raise Doubtful(f"a line that ends in LF alone: {line[:40]!r}; refused")
        return line[:-1]
