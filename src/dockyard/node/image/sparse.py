"""Turns what GNU tar says of a sparse file into a checked map: where its bytes lie, between holes.

GNU tar's manual, "Storing Sparse Files": the old format (entry type ``S``), and 0.0, 0.1 and 1.0 in
pax records. A map names regions in order, each beyond the one before and none beyond the file; what
is not in it reads as zeros.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Corrupt, Unsupported

if TYPE_CHECKING:
    from dockyard.node.image.tarread import Entry, TarReader

PREFIX = b"GNU.sparse."
BLOCK = 512
_IN_HEADER, _IN_EXTENSION = 4, 21
_REGION = 24
_LONGEST_NUMBER = 20
_ZEROS = bytes(1 << 16)

Region = tuple[int, int]
"""Offset in the file, and how many bytes are there."""
Records = list[tuple[bytes, bytes]]
Number = Callable[[bytes, str], int]


class Sparse(NamedTuple):
    """What a file is without its archive's packing."""

    size: int
    """Of the file, holes and all."""
    regions: tuple[Region, ...]
    name: bytes = b""
    """Its own; empty where the entry's is."""


def checked(found: Sparse, stored: int, what: str) -> Sparse:
    """Regions in order that hold exactly the bytes that are stored; :class:`Corrupt` else."""
    end = total = 0
    for offset, length in found.regions:
        if offset < end or offset + length > found.size:
            raise Corrupt(f"{what}: tar: a sparse file's map: {offset}+{length} of {found.size}: "
                          "overlaps, or lies beyond; refused")  # fmt: skip
        end, total = offset + length, total + length
    if total != stored:
        raise Corrupt(
            f"{what}: tar: a sparse file's map speaks of {total} bytes, {stored} are there"
        )
    return found


def old(header: bytes, more: Callable[[], bytes], number: Number, most: int, what: str) -> Sparse:
    """Of a header with entry type ``S``; ``more`` reads a further block."""
    regions = [*_of_fields(header[386:482], _IN_HEADER, number)]
    size, extended = number(header[483:495], "realsize"), header[482:483]
    blocks = 0
    while extended not in (b"", b"\0"):
        blocks += 1
        if blocks > most // BLOCK:
            raise Corrupt(f"{what}: tar: a sparse file's map of more than {most} bytes; refused")
        block = more()
        regions += _of_fields(block[:504], _IN_EXTENSION, number)
        extended = block[504:505]
    return Sparse(size, tuple(regions))


def _of_fields(fields: bytes, count: int, number: Number) -> Iterator[Region]:
    """Offsets and lengths of twelve characters; an empty one ends them."""
    for at in range(0, count * _REGION, _REGION):
        if fields[at + 12] == 0:
            return
        yield number(fields[at : at + 12], "offset"), number(fields[at + 12 : at + 24], "numbytes")


def in_records(records: Records, read_line: Callable[[], bytes], what: str) -> Sparse:
    """Of pax records, in their order; ``read_line`` reads the map that 1.0 has in the data."""
    found = dict(records)
    name = found.get(PREFIX + b"name", b"")
    version = found.get(PREFIX + b"major", b"0"), found.get(PREFIX + b"minor", b"0")
    if version == (b"1", b"0"):
        size = _decimal(found.get(PREFIX + b"realsize", b""), what)
        count = _decimal(read_line(), what)
        numbers = [_decimal(read_line(), what) for _ in range(2 * count)]
        return Sparse(size, _pairs(numbers, what), name)
    if version[0] != b"0":
        shown = b".".join(version)[:40].decode(errors="replace")
        raise Unsupported(f"{what}: tar: sparse format {shown}: not implemented")
    size = _decimal(found.get(PREFIX + b"size", b""), what)
    if (text := found.get(PREFIX + b"map")) is not None:
        parts = text.split(b",") if text else []
    else:
        parts = [value for key, value in records
                 if key in (PREFIX + b"offset", PREFIX + b"numbytes")]  # fmt: skip
        keys = [key for key, _ in records if key in (PREFIX + b"offset", PREFIX + b"numbytes")]
        if keys != [PREFIX + b"offset", PREFIX + b"numbytes"] * (len(keys) // 2):
            raise Corrupt(f"{what}: tar: a sparse file's map: offset and numbytes take turns")
    regions = _pairs([_decimal(part, what) for part in parts], what)
    said = found.get(PREFIX + b"numblocks")
    if said is not None and _decimal(said, what) != len(regions):
        raise Corrupt(f"{what}: tar: a sparse file's map has {len(regions)} regions, not {said!r}")
    return Sparse(size, regions, name)


def _pairs(numbers: list[int], what: str) -> tuple[Region, ...]:
    if len(numbers) % 2:
        raise Corrupt(f"{what}: tar: a sparse file's map ends in the middle of a region")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _decimal(text: bytes, what: str) -> int:
    if not text.isdigit() or len(text) > _LONGEST_NUMBER:
        raise Corrupt(f"{what}: tar: a sparse file's map: {text[:40]!r}: not a number")
    return int(text)


def expanded(
    regions: Iterable[Region], size: int, stored: Callable[[int], Iterator[memoryview]]
) -> Iterator[memoryview]:
    """The file's bytes, zeros and all; ``stored`` gives the next so many of the archive's."""
    at = 0
    for offset, length in regions:
        yield from _zeros(offset - at)
        yield from stored(length)
        at = offset + length
    yield from _zeros(size - at)


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        piece = memoryview(_ZEROS)[:count]
        count -= len(piece)
        yield piece


def write(fd: int, reader: TarReader, entry: Entry) -> None:
    """Lay the reader's current entry, which is sparse, into an empty file: its holes stay holes."""
    assert entry.sparse is not None
    os.ftruncate(fd, entry.size)
    for offset, length in entry.sparse:
        for piece in reader.stored(length):
            while piece:
                done = os.pwrite(fd, piece, offset)
                piece, offset = piece[done:], offset + done
