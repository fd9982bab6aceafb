"""Turns a container's log in the CRI's format into what a client asked to see of it.

Files are read in threads, piece by piece: a log of many megabytes holds nobody up. Nothing is read
through a link (F24).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dockyard.base.aio.clock import Clock
from dockyard.base.aio.now import parse_stamp
from dockyard.base.aio.tasks import in_thread
from dockyard.base.errors import Invalid

PIECE = 256 * 1024
POLL_SECONDS = 0.1


class Wanted(NamedTuple):
    """The query of a request for a log (PodLogOptions)."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    after: float = 0.0
    """Seconds since the epoch."""
    most: int = 0
    """Bytes; 0: all."""
    stream: bytes = b""
    """``stdout`` or ``stderr``; empty: both."""


def parse(query: Mapping[str, str], now: float) -> Wanted:
    """Raises :class:`Invalid` for a value that is none."""
    try:
        since = float(query.get("sinceSeconds") or 0)
        after = parse_stamp(query["sinceTime"]) if query.get("sinceTime") else 0.0
        return Wanted(
            follow=query.get("follow") == "true",
            previous=query.get("previous") == "true",
            timestamps=query.get("timestamps") == "true",
            tail=int(query["tailLines"]) if query.get("tailLines") else None,
            after=after or (now - since if since else 0.0),
            most=int(query.get("limitBytes") or 0),
            stream={"Stdout": b"stdout", "Stderr": b"stderr"}.get(query.get("stream", ""), b""),
        )
    except ValueError as error:
        raise Invalid(f"logs: {error}") from error


async def read(
    path: Path, wanted: Wanted, clock: Clock, running: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """What the client gets, in pieces. With ``follow``, until the container does not run."""
    file = await in_thread(clock, _open, path)
    try:
        pieces = _chosen(file, wanted)
        left = wanted.most or -1
        while piece := await in_thread(clock, next, pieces, b""):
            yield piece if left < 0 else piece[:left]
            if left >= 0:
                left -= min(left, len(piece))
                if not left:
                    return
        if not wanted.follow:
            return
        while True:
            alive = running()  # asked before the file is: what it wrote last is not missed
            if piece := await in_thread(clock, _more, file, wanted):
                yield piece
                continue
            if await in_thread(clock, _is_moved, file, path):
                file.close()
                file = await in_thread(clock, _open, path)
            elif not alive:
                return
            else:
                await clock.sleep(POLL_SECONDS)
    finally:
        file.close()


def _open(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")


def _is_moved(file: BinaryIO, path: Path) -> bool:
    """Whether the log was rotated: another file has its name."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return found.st_ino != os.fstat(file.fileno()).st_ino


def _chosen(file: BinaryIO, wanted: Wanted) -> Iterator[bytes]:
    lines = _whole_lines(file, wanted)
    if wanted.tail is None:
        yield from _pieces(lines)
    elif wanted.tail:
        yield from _pieces(iter(deque(lines, wanted.tail)))
    else:
        deque(lines, 0)


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    kept = bytearray()
    for line in lines:
        kept += line
        if len(kept) >= PIECE:
            yield bytes(kept)
            kept.clear()
    if kept:
        yield bytes(kept)


def _more(file: BinaryIO, wanted: Wanted) -> bytes:
    """What has come since; empty where nothing whole has."""
    kept = bytearray()
    for line in _whole_lines(file, wanted._replace(after=0.0)):
        kept += line
        if len(kept) >= PIECE:
            break
    return bytes(kept)


def _whole_lines(file: BinaryIO, wanted: Wanted) -> Iterator[bytes]:
    """Lines as a client sees them. The file is left behind the last line that is whole."""
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(place)
            return
        if (not wanted.after or _is_after(line, wanted.after)) and (
            not wanted.stream or line.split(b" ", 2)[1:2] == [wanted.stream]
        ):
            yield text(line, wanted.timestamps)


def text(line: bytes, stamps: bool) -> bytes:
    """What a container printed, out of a line of its CRI log."""
    stamp, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, content = rest.partition(b" ")
    if tag == b"P":
        content = content.removesuffix(b"\n")
    return stamp + b" " + content if stamps else content


def _is_after(line: bytes, when: float) -> bool:
    try:
        return parse_stamp(line.partition(b" ")[0].decode()) >= when
    except ValueError:  # a line that a crash cut off
        return False
