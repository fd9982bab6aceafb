"""What a stream is packed with is found out; bombs and broken streams are refused."""

import gzip as stdlib_gzip
import lzma
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard

from dockyard.base.errors import Corrupt
from dockyard.node.image.compression import decompress, gzip_packer
from dockyard.node.image.limits import Limits

DATA = bytes(range(256)) * 4000


def unpack(packed: bytes, limits: Limits | None = None, step: int = 1000) -> bytes:
    chunks = (packed[at : at + step] for at in range(0, len(packed), step))
    return b"".join(decompress(chunks, "layer", limits or Limits()))


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_all_kinds(step: int) -> None:
    small = DATA[:5000]
    for packed in (
        small,
        stdlib_gzip.compress(small),
        zstandard.compress(small),
        lzma.compress(small),
        stdlib_gzip.compress(small[:100]) + stdlib_gzip.compress(small[100:]),
        zstandard.compress(small[:100]) + zstandard.compress(small[100:]),
    ):
        assert unpack(packed, step=step) == small


def test_our_gzip_is_gzip_and_the_same_each_time() -> None:
    packed, again = (
        b"".join([packer.compress(DATA), packer.compress(DATA), packer.flush()])
        for packer in (gzip_packer(), gzip_packer())
    )
    assert stdlib_gzip.decompress(packed) == DATA * 2
    assert packed == again
    assert packed[4:8] == b"\0\0\0\0"  # RFC 1952: MTIME


@pytest.mark.parametrize("pack", [stdlib_gzip.compress, lzma.compress])
def test_b06_broken_streams(pack: object) -> None:
    packed = pack(DATA)  # type: ignore[operator]
    broken = bytearray(packed)
    broken[len(broken) // 2] ^= 0xFF
    for bad in (packed[:-4], packed + b"trailing garbage", bytes(broken)):
        with pytest.raises(Corrupt):
            unpack(bad)
    assert unpack(packed + bytes(512)) == DATA  # padding, as tar makes it


def test_b06_bombs() -> None:
    bomb = zlib.compress(bytes(20_000_000), 9, 31)
    with pytest.raises(Corrupt, match="more than"):
        unpack(bomb, Limits(total=1_000_000))
    with pytest.raises(Corrupt, match="times its size"):
        unpack(bomb, Limits(ratio=10, ratio_from=1_000_000))


@pytest.mark.parametrize("pack", [bytes, stdlib_gzip.compress, zstandard.compress, lzma.compress])
def test_b06_what_drips_without_end_is_given_up(pack: Callable[[bytes], bytes]) -> None:
    """Also where nothing comes out of it: empty members, one after the other."""
    passed = iter(range(10_000))

    def drips() -> Iterator[bytes]:
        member = pack(DATA) if pack is bytes else pack(b"")
        while True:
            yield member[:1000]

    with pytest.raises(Corrupt, match="layer: takes more than 60 s; refused"):
        for _ in decompress(drips(), "layer", Limits(seconds=60), lambda: float(next(passed))):
            pass
    assert 60 < next(passed) < 70
