"""Turns many small pieces of a stream into fewer of a size that is worth handling."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


CHUNK = 1 << 18
"""Bytes that are read, hashed and written at a time."""


def gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of about ``CHUNK``: a tar has many small pieces."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)
