"""Turns a json-file log into pieces of output again: the last, since when, and what follows."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.base.aio.now import parse_stamp

POLL_SECONDS = 0.05
BLOCK = 64 * 1024
Lines = Iterator[bytes]


class Entry(NamedTuple):
    """One line, or a part of a long one."""

    stream: str
    time: str
    text: str
    attributes: tuple[tuple[str, str], ...] = ()
    """Of its container, as its log's options ask for them."""


def read(
    path: str,
    *,
    tail: int | None = None,
    since: float = 0.0,
    until: float = 0.0,
    ended: Callable[[float], bool] | None = None,
) -> Iterator[Entry]:
    """The entries of a log, rotated files first.

    ``ended`` waits up to some seconds for the container's end, and says whether it has come; with
    it, this waits for more until it has. Nothing that is written meanwhile is missed: the file
    that was read to its end is the one that is waited on.
    """
    for line in _lines(path, tail, ended):
        entry = parse(line)
        if entry is None:
            continue
        if until and parse_stamp(entry.time) > until:
            return
        if not since or parse_stamp(entry.time) >= since:
            yield entry


def parse(line: bytes) -> Entry | None:
    """An entry; None for a line that a crash cut off."""
    try:
        found = json.loads(line)
        attributes = tuple(found["attrs"].items()) if "attrs" in found else ()
        return Entry(found["stream"], found["time"], found["log"], attributes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _lines(path: str, tail: int | None, ended: Callable[[float], bool] | None) -> Lines:
    try:
        newest = open(path, "rb")  # noqa: SIM115 - another follows it on rotation
    except FileNotFoundError:  # it has never run
        return
    try:
        older = _rotated(path)
        if tail is not None:
            missing = _seek_to_tail(newest, tail)
            yield from _tail_of(older, missing)
        else:
            for name in older:
                with open(name, "rb") as file:
                    yield from file
        partial, last = b"", ended is None
        while True:
            while line := newest.readline():
                partial += line
                if partial.endswith(b"\n"):
                    yield partial
                    partial = b""
            if newest.tell() > os.fstat(newest.fileno()).st_size:  # it was truncated
                newest.seek(0)
                partial = b""
            elif following := _successors(path, newest):
                yield from newest  # what came between our reading and its renaming
                newest.close()
                newest = following.pop()
                for file in following:
                    with file:
                        yield from file
                partial = b""
            elif last or ended is None:
                return
            else:
                last = ended(POLL_SECONDS)
    finally:
        newest.close()


def _rotated(path: str) -> list[str]:
    """Names of the older files, the oldest first."""
    found: list[str] = []
    while os.path.exists(name := f"{path}.{len(found) + 1}"):
        found.append(name)
    return found[::-1]


def _tail_of(names: list[str], count: int) -> Lines:
    """The last lines of files, the oldest first."""
    if count <= 0 or not names:
        return
    *older, last = names
    with open(last, "rb") as file:
        yield from _tail_of(older, _seek_to_tail(file, count))
        yield from file


def _seek_to_tail(file: io.BufferedReader, count: int) -> int:
    """Go to where the last ``count`` lines begin; how many of them the file lacks."""
    position = file.seek(0, os.SEEK_END)
    if count <= 0:
        return 0
    found = 0
    while position > 0:
        start = max(0, position - BLOCK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        # the newline at the very end closes the last line and begins none
        if position == file.seek(0, os.SEEK_END) and block.endswith(b"\n"):
            at -= 1
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == count:
                file.seek(start + at + 1)
                return 0
        position = start
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return count - found - (1 if size else 0)


def _successors(path: str, file: io.BufferedReader) -> list[io.BufferedReader]:
    """The files that came after this one, the oldest first, when the log was rotated away."""
    own = os.fstat(file.fileno()).st_ino
    found: list[io.BufferedReader] = []
    for name in (path, *reversed(_rotated(path))):
        try:
            following = open(name, "rb")  # noqa: SIM115 - the caller closes it
        except FileNotFoundError:
            continue
        if os.fstat(following.fileno()).st_ino == own:
            following.close()
            break
        found.append(following)
    return found[::-1]
