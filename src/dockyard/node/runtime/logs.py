"""Turns a container's output into lines of a log file: Docker's json-file or the CRI's format.

json-file: one JSON object a line, with ``log``, ``stream`` and ``time``. CRI: ``TIME STREAM TAG
LINE``, where the tag is ``F`` for a full line and ``P`` for a part of one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable

from dockyard.base.aio.now import nano_stamp
from dockyard.interfaces.ociruntime import Log

LONGEST_LINE = 16 * 1024
"""A longer line is written in parts, as Docker and containerd do."""
NAMES = {1: "stdout", 2: "stderr"}


class LogWriter:
    """One log file, its partial lines and its rotation."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        if log.kind not in ("json-file", "cri"):
            raise ValueError(f"log: kind {log.kind!r}: json-file or cri")
        self._log, self._clock = log, clock
        self._line = _cri_line if log.kind == "cri" else _json_line
        self._partial = {1: b"", 2: b""}
        self.lost = 0
        """Bytes that the file system did not take. A full disk ends no container."""
        self._file = self._open()
        self._size = os.fstat(self._file).st_size

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._log.path, flags, 0o640)

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output; whole lines go to the file now."""
        *lines, rest = (self._partial[stream] + data).split(b"\n")
        out = []
        stamp = nano_stamp(self._clock())
        for line in lines:
            out += self._pieces(stream, line, stamp, full=True)
        if len(rest) >= LONGEST_LINE:
            whole = len(rest) - len(rest) % LONGEST_LINE
            out += self._pieces(stream, rest[:whole], stamp, full=False)
            rest = rest[whole:]
        self._partial[stream] = rest
        self._append(b"".join(out))

    def _pieces(self, stream: int, line: bytes, stamp: str, *, full: bool) -> list[bytes]:
        name = NAMES[stream]
        if len(line) <= LONGEST_LINE:
            return [self._line(stamp, name, line, full)]
        cuts = range(0, len(line), LONGEST_LINE)
        pieces = [line[cut : cut + LONGEST_LINE] for cut in cuts]
        last = len(pieces) - 1
        return [
            self._line(stamp, name, piece, full and index == last)
            for index, piece in enumerate(pieces)
        ]

    def reopen(self) -> None:
        """The file was moved away: go on in a new one."""
        os.close(self._file)
        self._file = self._open()
        self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        """Write what is left of an unfinished line."""
        stamp = nano_stamp(self._clock())
        for stream, rest in self._partial.items():
            if rest:
                self._append(b"".join(self._pieces(stream, rest, stamp, full=False)))
        os.close(self._file)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        view = memoryview(data)
        try:
            if self._log.max_bytes and self._size and self._size + len(data) > self._log.max_bytes:
                self._rotate()
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.lost += len(view)
        self._size += len(data) - len(view)

    def _rotate(self) -> None:
        """``log`` becomes ``log.1``, ``log.1`` becomes ``log.2``, the oldest goes."""
        path, kept = self._log.path, max(1, self._log.max_files) - 1
        for index in range(kept, 0, -1):
            older = f"{path}.{index - 1}" if index > 1 else path
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{path}.{index}")
        if not kept:
            os.unlink(path)
        self.reopen()


def _json_line(stamp: str, name: str, line: bytes, full: bool) -> bytes:
    text = line.decode(errors="replace") + ("\n" if full else "")
    entry = {"log": text, "stream": name, "time": stamp}
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _cri_line(stamp: str, name: str, line: bytes, full: bool) -> bytes:
    return f"{stamp} {name} {'F' if full else 'P'} ".encode() + line + b"\n"
