"""Turns a container's output into lines of a log file: Docker's json-file or the CRI's format.

json-file: one JSON object a line, with ``log``, ``stream``, ``attrs`` if there are, and ``time``.
CRI: ``TIME STREAM TAG LINE``, where the tag is ``F`` for a full line and ``P`` for a part of one.
"""

from __future__ import annotations

import os
from _json import encode_basestring  # `json` brings 0.6 MB to each monitor

from dockyard.base.aio.now import nano_stamp
from dockyard.base.errors import Invalid
from dockyard.base.suppress import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dockyard.interfaces.ociruntime import Log

    Format = Callable[[str, str, str], Callable[[bytes, bool], bytes]]
    """(stamp, stream, attributes) -> (piece, whether it ends its line) -> an entry of the log."""

LONGEST_LINE = 16 * 1024
"""A longer line is written in parts, as Docker and containerd do."""
NAMES = {1: "stdout", 2: "stderr"}


class Place:
    """What :class:`LogWriter` needs of a ``Log``, without what that takes."""

    def __init__(
        self, path: str, kind: str, max_bytes: int, max_files: int, attributes: str = ""
    ) -> None:
        self.path, self.kind, self.max_bytes, self.max_files = path, kind, max_bytes, max_files
        self.attributes = attributes


class LogWriter:
    """One log file, its partial lines and its rotation."""

    def __init__(self, log: Log | Place, clock: Callable[[], float]) -> None:
        if log.kind not in FORMATS:
            raise Invalid(f"log: kind {log.kind!r}: one of {', '.join(FORMATS)}")
        self._log, self._clock = log, clock
        self._format = FORMATS[log.kind]
        self.partial = {1: b"", 2: b""}
        self.lost = 0
        """Bytes that the file system did not take. A full disk ends no container."""
        self._file = self._open()
        self._size = os.fstat(self._file).st_size

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._log.path, flags, 0o640)

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output; whole lines go to the file now."""
        *lines, rest = (self.partial[stream] + data).split(b"\n")
        whole = len(rest) - len(rest) % LONGEST_LINE
        self.partial[stream] = rest[whole:]
        entry = self._format(nano_stamp(self._clock()), NAMES[stream], self._log.attributes)
        self._append(self._entries(entry, lines, rest[:whole]))

    def _entries(
        self, entry: Callable[[bytes, bool], bytes], lines: list[bytes], rest: bytes
    ) -> Iterator[bytes]:
        for line in lines:
            while len(line) > LONGEST_LINE:
                yield entry(line[:LONGEST_LINE], False)
                line = line[LONGEST_LINE:]
            yield entry(line, True)
        for start in range(0, len(rest), LONGEST_LINE):
            yield entry(rest[start : start + LONGEST_LINE], False)

    def reopen(self) -> None:
        """The file was moved away: go on in a new one."""
        os.close(self._file)
        self._file = self._open()
        self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        """Write what is left of an unfinished line."""
        stamp = nano_stamp(self._clock())
        for stream, rest in self.partial.items():
            if rest:
                entry = self._format(stamp, NAMES[stream], self._log.attributes)
                self._append(self._entries(entry, [], rest))
        os.close(self._file)

    def _append(self, entries: Iterator[bytes]) -> None:
        """In as few writes as rotation allows."""
        most, size = self._log.max_bytes, 0
        batch: list[bytes] = []
        for entry in entries:
            if most and self._size + size and self._size + size + len(entry) > most:
                self._put(b"".join(batch))
                batch, size = [], 0
                self._rotate()
            batch.append(entry)
            size += len(entry)
        self._put(b"".join(batch))

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.lost += len(view)
        self._size += len(data) - len(view)

    def _rotate(self) -> None:
        """``log`` becomes ``log.1``, ``log.1`` becomes ``log.2``, the oldest goes."""
        path, kept = self._log.path, max(1, self._log.max_files) - 1
        with suppress(OSError):  # what cannot be moved is written on
            for index in range(kept, 0, -1):
                older = f"{path}.{index - 1}" if index > 1 else path
                with suppress(FileNotFoundError):
                    os.replace(older, f"{path}.{index}")
            if not kept:
                os.truncate(path, 0)
            self.reopen()


def _json_file(stamp: str, stream: str, attributes: str) -> Callable[[bytes, bool], bytes]:
    attrs = f',"attrs":{attributes}' if attributes else ""
    rest = f',"stream":"{stream}"{attrs},"time":"{stamp}"}}\n'.encode()

    def entry(piece: bytes, full: bool) -> bytes:
        text = piece.decode(errors="replace") + ("\n" if full else "")
        return b'{"log":%s%s' % (encode_basestring(text).encode(), rest)

    return entry


def _cri(stamp: str, stream: str, _: str) -> Callable[[bytes, bool], bytes]:
    full_line, part = (f"{stamp} {stream} {tag} ".encode() for tag in "FP")

    def entry(piece: bytes, full: bool) -> bytes:
        return b"%s%s\n" % (full_line if full else part, piece)

    return entry


FORMATS: dict[str, Format] = {"json-file": _json_file, "cri": _cri}
