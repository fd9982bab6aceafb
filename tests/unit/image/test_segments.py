"""Layers as we pack them: one gzip member that every reader takes, whatever the chunks."""

import gzip
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dockyard.node.image.segments import SEGMENT, Packer, gzip_segments, packers, quick, tight

SIZES = [0, 1, 70_000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, 4 * SEGMENT + 12_345]
Choice = Callable[[int], Packer]


def packed(data: bytes, step: int, packer: Choice, threads: int = 2) -> bytes:
    chunks = (data[at : at + step] for at in range(0, len(data), step))
    with ThreadPoolExecutor(threads) as pool:
        return b"".join(gzip_segments(chunks, packer, pool))


def text(size: int) -> bytes:
    return b"".join(b"line %d of some text\n" % number for number in range(size // 18 + 1))[:size]


@pytest.mark.parametrize("packer", [quick, tight])
@pytest.mark.parametrize("size", SIZES)
def test_it_is_one_member_that_zlib_and_gzip_read(size: int, packer: Choice) -> None:
    data = text(size)
    out = packed(data, 100_000, packer)
    reader = zlib.decompressobj(31)
    assert reader.decompress(out) + reader.flush() == data
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert gzip.decompress(out) == data
    done = subprocess.run(["gzip", "-dc"], input=out, capture_output=True, check=True)
    assert done.stdout == data
    assert out[4:8] == b"\0\0\0\0"  # RFC 1952: MTIME


@pytest.mark.parametrize("packer", [quick, tight])
def test_neither_chunks_nor_threads_matter(packer: Choice) -> None:
    data = text(5 * SEGMENT)
    once = packed(data, 1 << 18, packer)
    assert once == packed(data, 1 << 18, packer, threads=4)
    assert gzip.decompress(packed(data, 77_777, packer)) == data


def test_what_is_wrong_with_the_chunks_comes_out_and_no_thread_stays() -> None:
    def chunks() -> Iterator[bytes]:
        yield text(3 * SEGMENT)
        raise OSError("the disk is gone")

    with packers() as pool, pytest.raises(OSError, match="the disk is gone"):
        list(gzip_segments(chunks(), quick, pool))
