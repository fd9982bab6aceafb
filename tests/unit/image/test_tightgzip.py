"""The packer of a push: one gzip member that every reader takes, whatever the chunks."""

import gzip
import subprocess
import zlib

import pytest

from dockyard.node.image.tightgzip import SEGMENT, TightPacker

SIZES = [0, 1, 70_000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 4 * SEGMENT + 12_345]


def packed(data: bytes, step: int) -> bytes:
    packer = TightPacker()
    parts = [packer.compress(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("size", SIZES)
def test_it_is_one_member_that_zlib_and_gzip_read(size: int) -> None:
    data = b"".join(b"line %d of some text\n" % number for number in range(size // 18 + 1))[:size]
    out = packed(data, 100_000)
    reader = zlib.decompressobj(31)
    assert reader.decompress(out) + reader.flush() == data
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert gzip.decompress(out) == data
    done = subprocess.run(["gzip", "-dc"], input=out, capture_output=True, check=True)
    assert done.stdout == data


def test_chunks_do_not_matter() -> None:
    data = b"abcdefgh" * (SEGMENT // 4)
    assert packed(data, 1 << 18) == packed(data, 1 << 18)
    assert gzip.decompress(packed(data, 77_777)) == data
