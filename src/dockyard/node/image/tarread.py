"""Turns a stream of tar blocks into checked :class:`Entry` values and their data.

POSIX.1-1988 ustar, POSIX.1-2001 pax and GNU long names; tar(5) of FreeBSD describes all three.
Sparse files are GNU tar's, in each of its four formats. Every loop is bounded by :class:`Limits`.
Names are parsed here once: an :class:`Entry`'s path is relative and has no ``.`` or ``..``;
symbolic link targets are data and stay as they are.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.base.errors import Corrupt, Invalid, Unsupported
from dockyard.node.image import sparse
from dockyard.node.image.limits import DEFAULT, Limits
from dockyard.node.image.sparse import Region, Sparse
from dockyard.node.image.tarstream import TarStream

BLOCK = 512
_ZEROS = bytes(BLOCK)

FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = (
    b"0", b"1", b"2", b"3", b"4", b"5", b"6",
)  # fmt: skip
_KINDS = (FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO)
_AS_FILE = (b"\0", b"7")  # before POSIX; "contiguous"
_XATTR = b"SCHILY.xattr."
_SPARSE = b"S"
_FARTHEST = 1 << 40  # seconds: beyond it no file system keeps a time
_HIGHEST_ID = (1 << 32) - 2


class Entry(NamedTuple):
    """One member. ``mtime`` in nanoseconds; ``path`` is empty for the root itself."""

    kind: bytes
    path: tuple[bytes, ...]
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    major: int
    minor: int
    xattrs: tuple[tuple[bytes, bytes], ...]
    sparse: tuple[Region, ...] | None = None
    """Of a file with holes: where its bytes lie. ``size`` counts the holes."""

    @property
    def name(self) -> str:
        return b"/".join(self.path).decode("utf-8", "backslashreplace") or "."


class TarReader:
    """Iterate for entries; :meth:`data` gives the bytes of the last one (else they are skipped)."""

    def __init__(self, chunks: Iterable[bytes], what: str, limits: Limits = DEFAULT) -> None:
        self._stream = TarStream(chunks, what)
        self._what = what
        self._limits = limits
        self._left = 0
        self._padding = 0
        self._holes: Sparse | None = None
        self._promised = 0
        self.total = 0
        """Bytes of the stream, known once it was read to its end."""

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        while (entry := self._next()) is not None:
            count += 1
            if count > self._limits.entries:
                raise Corrupt(
                    f"{self._what}: tar: more than {self._limits.entries} entries; refused"
                )
            yield entry
        self._stream.drain()
        self.total = self._stream.position

    @property
    def position(self) -> int:
        """Where in the stream the current entry's data (what is left of it) begins."""
        return self._stream.position

    def data(self) -> Iterator[memoryview]:
        """The current entry's bytes, in pieces; a hole's zeros too."""
        if self._holes is None:
            yield from self.stored(self._left)
        else:
            yield from sparse.expanded(self._holes.regions, self._holes.size, self.stored)

    def stored(self, count: int) -> Iterator[memoryview]:
        """So many of the current entry's bytes that are in the archive."""
        for piece in self._stream.pieces(count):
            self._left -= len(piece)
            yield piece

    def _next(self) -> Entry | None:
        self._stream.skip(self._left + self._padding)
        self._left = self._padding = 0
        self._holes = None
        records: dict[bytes, bytes] = {}
        holes: sparse.Records = []
        for _ in range(8):  # one extended header of each kind, with room for odd writers
            header = self._stream.read(BLOCK)
            if not header or header == _ZEROS:
                return None
            if len(header) < BLOCK:
                raise Corrupt(f"{self._what}: tar: half a header at {self._stream.position}")
            self._verify(header)
            kind = header[156:157]
            if kind in (b"x", b"g", b"L", b"K"):
                extra = self._extended(header)
                if kind == b"x":
                    found = self._records(extra)
                    records.update(found)
                    holes += [pair for pair in found if pair[0].startswith(sparse.PREFIX)]
                elif kind != b"g":  # a global header only carries comments in practice
                    records[b"path" if kind == b"L" else b"linkpath"] = extra.split(b"\0")[0]
                continue
            return self._entry(header, kind, records, holes)
        raise Corrupt(f"{self._what}: tar: extended headers without an entry")

    def _verify(self, header: bytes) -> None:
        said = self._number(header[148:156], "checksum")
        found = sum(header) - sum(header[148:156]) + 8 * 0x20
        if said != found:
            raise Corrupt(f"{self._what}: tar: no header at byte {self._stream.position - BLOCK}")

    def _extended(self, header: bytes) -> bytes:
        size = self._number(header[124:136], "size")
        if size > self._limits.header:
            raise Corrupt(f"{self._what}: tar: an extended header of {size} bytes; refused")
        data = self._stream.exactly(size)
        self._stream.skip(-size % BLOCK)
        return data

    def _records(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """pax(1), "pax Extended Header": ``"%d %s=%s\\n" length keyword value``."""
        found: list[tuple[bytes, bytes]] = []
        at = 0
        while at < len(data):
            digits, blank, _ = data[at : at + 9].partition(b" ")
            start = at + len(digits) + 1
            end = at + int(digits) if blank and digits.isdigit() else at
            key, equals, value = data[start : end - 1].partition(b"=")
            if not start < end <= len(data) or data[end - 1 : end] != b"\n" or not equals:
                raise Corrupt(f"{self._what}: tar: a broken pax record")
            found.append((key, value))
            at = end
        return found

    def _entry(
        self, header: bytes, kind: bytes, records: dict[bytes, bytes], holes: sparse.Records
    ) -> Entry:
        name = records.get(b"path") or _ustar_name(header)
        old = kind == _SPARSE
        kind = FILE if old else kind
        if kind in _AS_FILE:
            kind = DIRECTORY if name.endswith(b"/") else FILE
        if kind not in _KINDS:
            raise Unsupported(f"{self._what}: tar: entry type {kind!r}: not implemented")
        size = self._pax_number(records, b"size", header[124:136])
        if kind != FILE:
            size = 0 if kind in (HARDLINK, SYMLINK, DIRECTORY) or not size else self._no_data(kind)
        if size > self._limits.total - self._stream.position:
            raise Corrupt(f"{self._what}: tar: an entry of {size} bytes; refused")
        self._left, self._padding = size, -size % BLOCK
        if kind == FILE and (old or holes):
            self._holes = self._sparse(header if old else b"", holes)
            size, name = self._holes.size, self._holes.name or name
        self._promised += size
        if self._promised > self._limits.total:
            raise Corrupt(f"{self._what}: tar: entries of {self._promised} bytes; refused")
        link = records.get(b"linkpath") or header[157:257].split(b"\0")[0]
        if b"\0" in link or len(link) > self._limits.path or (kind == SYMLINK and not link):
            raise Invalid(f"{self._what}: tar: a link's target is empty, too long or has a NUL")
        device = kind in (CHAR, BLOCKDEV)
        return Entry(
            kind,
            self.path(name),
            self._number(header[100:108], "mode") & 0o7777,
            self._owner(self._pax_number(records, b"uid", header[108:116])),
            self._owner(self._pax_number(records, b"gid", header[116:124])),
            size,
            self._mtime(records, header),
            link,
            self._number(header[329:337], "device") if device else 0,
            self._number(header[337:345], "device") if device else 0,
            self._xattrs(records),
            self._holes.regions if self._holes else None,
        )

    def _sparse(self, header: bytes, holes: sparse.Records) -> Sparse:
        """``header``: empty where pax records say it."""
        most = self._limits.header
        if header:
            found = sparse.old(
                header, lambda: self._stream.exactly(BLOCK), self._number, most, self._what
            )
        else:
            start = self._stream.position
            found = sparse.in_records(holes, lambda: self._line(start), self._what)
            used = self._stream.position - start
            self._stream.skip(-used % BLOCK)
            self._left -= used + -used % BLOCK
        return sparse.checked(found, self._left, self._what)

    def _line(self, start: int) -> bytes:
        """The next line of the current entry's bytes, which begin at ``start``."""
        text = b""
        while not text.endswith(b"\n"):
            used = self._stream.position - start
            if used >= min(self._left, self._limits.header) or len(text) > 20:
                raise Corrupt(f"{self._what}: tar: a sparse file's map has no end; refused")
            text += self._stream.exactly(1)
        return text[:-1]

    def path(self, name: bytes) -> tuple[bytes, ...]:
        """A member's name as parts below the root; :class:`Invalid` for one that climbs."""
        if b"\0" in name or len(name) > self._limits.path:
            raise Invalid(f"{self._what}: tar: a name of {len(name)} bytes, or with a NUL; refused")
        parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
        if b".." in parts:
            raise Invalid(f"{self._what}: tar: {name[:200]!r}: climbs out of its root; refused")
        if len(parts) > self._limits.depth or any(len(part) > 255 for part in parts):
            raise Invalid(f"{self._what}: tar: {name[:80]!r}...: too deep or too long; refused")
        return parts

    def _xattrs(self, records: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        found = sorted(
            (key.removeprefix(_XATTR), value)
            for key, value in records.items()
            if key.startswith(_XATTR)
        )
        for key, value in found:
            if not 0 < len(key) <= 255 or b"\0" in key or len(value) > self._limits.xattr:
                raise Invalid(f"{self._what}: tar: attribute {key[:80]!r}: too long; refused")
        return tuple(found)

    def _mtime(self, records: dict[bytes, bytes], header: bytes) -> int:
        text = records.get(b"mtime")
        if text is None:
            seconds = self._number(header[136:148], "mtime", signed=True)
            nanoseconds = 0
        else:
            whole, _, part = text.partition(b".")
            digits = whole.removeprefix(b"-")
            if not digits.isdigit() or len(digits) > 13 or (part and not part.isdigit()):
                raise Corrupt(f"{self._what}: tar: mtime {text[:40]!r}: not a time")
            seconds, nanoseconds = int(whole), int(part[:9].ljust(9, b"0")) if part else 0
            if whole.startswith(b"-"):
                nanoseconds = -nanoseconds
        return max(min(seconds, _FARTHEST), -_FARTHEST) * 1_000_000_000 + nanoseconds

    def _pax_number(self, records: dict[bytes, bytes], key: bytes, field: bytes) -> int:
        text = records.get(key)
        if text is None:
            return self._number(field, key.decode())
        if not text.isdigit() or len(text) > 20:
            raise Corrupt(f"{self._what}: tar: pax {key.decode()}: {text[:40]!r}: not a number")
        return int(text)

    def _number(self, field: bytes, what: str, *, signed: bool = False) -> int:
        """Octal digits, or base 256 where the first bit is set (GNU; two's complement)."""
        if field[0] & 0x80:
            bits = 8 * len(field) - 1
            found = int.from_bytes(field) & ((1 << bits) - 1)
            if found >> (bits - 1):
                found -= 1 << bits
        else:
            text = field.split(b"\0")[0].strip(b" ")
            if text.strip(b"01234567"):
                raise Corrupt(f"{self._what}: tar: {what}: {field!r}: not an octal number")
            found = int(text, 8) if text else 0
        if found < 0 and not signed:
            raise Corrupt(f"{self._what}: tar: {what}: {found}: negative")
        return found

    def _owner(self, number: int) -> int:
        if number > _HIGHEST_ID:
            raise Invalid(f"{self._what}: tar: owner {number}: more than 32 bits")
        return number

    def _no_data(self, kind: bytes) -> int:
        raise Corrupt(f"{self._what}: tar: entry type {kind!r} with data")


def _ustar_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0")[0]
    if header[257:263] != b"ustar\0":  # GNU keeps times where POSIX has the prefix
        return name
    prefix = header[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix else name
