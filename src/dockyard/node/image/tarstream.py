"""Turns chunks into exact reads: the bytes that a tar reader asks for, and never more."""

from collections.abc import Iterable, Iterator

from dockyard.base.errors import Corrupt


class TarStream:
    """Chunks behind a cursor. ``position`` counts what was taken."""

    __slots__ = ("_chunks", "_rest", "position", "what")

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.position = 0
        self.what = what

    def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the end."""
        if len(self._rest) >= size:
            found = bytes(self._rest[:size])
            self._rest = self._rest[size:]
            self.position += size
            return found
        return b"".join(bytes(piece) for piece in self._take(size))

    def exactly(self, size: int) -> bytes:
        found = self.read(size)
        if len(found) != size:
            raise self._cut()
        return found

    def pieces(self, size: int) -> Iterator[memoryview]:
        """``size`` bytes in pieces, without copying; :class:`Corrupt` where the stream is cut."""
        start = self.position
        yield from self._take(size)
        if self.position - start != size:
            raise self._cut()

    def skip(self, size: int) -> None:
        for _ in self.pieces(size):
            pass

    def drain(self) -> None:
        """Take all that is left: a digest covers it."""
        self._rest = memoryview(b"")
        for chunk in self._chunks:
            self.position += len(chunk)

    def _take(self, size: int) -> Iterator[memoryview]:
        while size > 0:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                self._rest = memoryview(chunk)
                continue
            piece = self._rest[:size]
            self._rest = self._rest[len(piece) :]
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def _cut(self) -> Corrupt:
        return Corrupt(f"{self.what}: tar: the stream ends at byte {self.position}, in an entry")
