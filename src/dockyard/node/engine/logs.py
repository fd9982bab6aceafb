"""Turns a json-file log into pieces of output again: the last, since when, and what follows."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dockyard.base.aio.now import parse_stamp, pause

POLL_SECONDS = 0.05


class Entry(NamedTuple):
    """One line, or a part of a long one."""

    stream: str
    time: str
    text: str


def read(
    path: str,
    *,
    tail: int | None = None,
    since: float = 0.0,
    until: float = 0.0,
    follow: Callable[[], bool] | None = None,
) -> Iterator[Entry]:
    """The entries of a log, rotated files first.

    ``follow`` says whether the container still runs; with it, waits for more until it does not.
    """
    files = _files(path)
    wanted = (entry for entry in _entries(files) if _within(entry, since, until))
    yield from wanted if tail is None else deque(wanted, maxlen=tail)
    if follow is not None:
        yield from (entry for entry in _follow(path, follow) if _within(entry, since, until))


def _files(path: str) -> list[str]:
    rotated = []
    index = 1
    while os.path.exists(f"{path}.{index}"):
        rotated.append(f"{path}.{index}")
        index += 1
    return [*reversed(rotated), *([path] if os.path.exists(path) else [])]


def _entries(files: list[str]) -> Iterator[Entry]:
    for name in files:
        with open(name, encoding="utf-8", errors="replace") as file:
            yield from filter(None, map(_parse, file))


def _parse(line: str) -> Entry | None:
    """An entry; None for a line that a crash cut off."""
    try:
        found = json.loads(line)
        return Entry(found["stream"], found["time"], found["log"])
    except (ValueError, KeyError, TypeError):
        return None


def _within(entry: Entry, since: float, until: float) -> bool:
    if not since and not until:
        return True
    when = parse_stamp(entry.time)
    return when >= since and (not until or when <= until)


def _follow(path: str, running: Callable[[], bool]) -> Iterator[Entry]:
    """What is appended from now on, over rotations, until the container has ended."""
    file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115 - changes on rotation
    try:
        file.seek(0, os.SEEK_END)
        partial = ""
        while True:
            alive = running()
            while line := file.readline():
                partial += line
                if partial.endswith("\n"):
                    if entry := _parse(partial):
                        yield entry
                    partial = ""
            if _moved(path, file.fileno()):
                file.close()
                file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115
                continue
            if not alive:
                return
            pause(POLL_SECONDS)
    finally:
        file.close()


def _moved(path: str, descriptor: int) -> bool:
    try:
        return os.stat(path).st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
