"""Turns compressed chunks into plain ones, and a growing stream into gzip.

What a stream is compressed with is read from its first bytes, as containerd does: media types in
the wild are often wrong, and the digests decide anyway.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Protocol, cast

from dockyard.base.aio import now
from dockyard.base.errors import Corrupt
from dockyard.node.image.chunks import CHUNK
from dockyard.node.image.limits import DEFAULT, Limits

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bz2",
}
_ZSTD_WINDOW = 1 << 27
_XZ_MEMORY = 256 << 20


def sniff(start: bytes) -> str:
    """``gzip``, ``zstd``, ``xz``, ``bz2``, or ``""`` for none."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


def decompress(
    chunks: Iterable[bytes],
    what: str,
    limits: Limits = DEFAULT,
    clock: Callable[[], float] = now.monotonic,
) -> Iterator[bytes]:
    """Plain chunks of whatever ``chunks`` are compressed with; :class:`Corrupt` for broken ones."""
    counted = _Counted(chunks, what, limits.seconds, clock)
    start = b""
    for chunk in counted:
        start += chunk
        if len(start) >= 6:
            break
    kind = sniff(start)
    source = chain([start], counted)
    plain = (
        iter(source) if not kind else _zstd(source) if kind == "zstd" else _members(kind, source)
    )
    written = 0
    try:
        for chunk in plain:
            written += len(chunk)
            _check(written, counted.size, what, limits)
            yield chunk
    except _broken() as error:
        raise Corrupt(f"{what}: {kind}: {error}; fetch it again") from error


class Packer(Protocol):
    """A stream being compressed."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def gzip_packer(level: int = 1) -> Packer:
    """A gzip stream; the same bytes in give the same bytes out (no name, no time)."""
    from isal import isal_zlib

    packer: Packer = isal_zlib.compressobj(level, isal_zlib.DEFLATED, 31)
    return packer


class _Counted:
    """Knows how many bytes have been taken, and for how long they may come."""

    def __init__(
        self, chunks: Iterable[bytes], what: str, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._chunks = iter(chunks)
        self._what, self._seconds = what, seconds
        self._clock, self._deadline = clock, clock() + seconds
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._clock() > self._deadline:
            raise Corrupt(f"{self._what}: takes more than {self._seconds:.0f} s; refused")
        chunk = next(self._chunks)
        self.size += len(chunk)
        return chunk


def _check(written: int, read: int, what: str, limits: Limits) -> None:
    if written > limits.total:
        raise Corrupt(f"{what}: unpacks to more than {limits.total} bytes; refused")
    if written > limits.ratio_from and written > read * limits.ratio:
        raise Corrupt(f"{what}: unpacks to more than {limits.ratio} times its size; refused")


def _members(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """gzip, xz and bz2: members may follow each other; only zeros may follow the last."""
    unpacker: Any = None
    for chunk in chunks:
        data = chunk
        while data or (unpacker is not None and not unpacker.needs_input):
            if unpacker is None:
                if not data.strip(b"\0"):
                    break
                unpacker = _unpacker(kind)
            try:
                plain = unpacker.decompress(data, CHUNK)
            except OSError as error:  # what bz2 has for a broken stream
                raise EOFError(str(error)) from error
            data = b""
            if plain:
                yield plain
            if unpacker.eof:
                data, unpacker = unpacker.unused_data, None
    if unpacker is not None:
        raise EOFError("the stream ends too early")


def _unpacker(kind: str) -> Any:
    if kind == "gzip":
        from isal import igzip_lib

        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    if kind == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Reader:
    """Chunks as a file, for a decompressor that pulls."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with unpacker.stream_reader(_Reader(chunks), read_across_frames=True) as stream:  # type: ignore[arg-type]
        while plain := stream.read(CHUNK):
            yield plain


def _broken() -> tuple[type[Exception], ...]:
    """What the decompressors raise; imported only once something is being unpacked."""
    import lzma

    import zstandard
    from isal import igzip_lib

    return (
        EOFError,
        lzma.LZMAError,
        zstandard.ZstdError,
        cast("type[Exception]", igzip_lib.IsalError),
    )
