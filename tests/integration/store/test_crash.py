"""G01: a writer killed with -9 at any moment loses nothing that it had acknowledged."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.base.aio.clock import RealClock
from dockyard.cluster.store.contract import Compacted
from dockyard.cluster.store.sqlite import SqliteStore, open_store

WRITER = """
import asyncio, itertools, sys
from dockyard.base.aio.clock import RealClock
from dockyard.cluster.store.sqlite import open_store

async def main():
    store = open_store(sys.argv[1], RealClock())
    async def write(lane):
        for n in itertools.count():
            key = f"/{lane}/{store.revision()}-{n}"
            revision = await store.create(key, b"x" * 300)
            print(key, revision, flush=True)
    async def change():
        current = await store.get("/changing")
        revision = current.modified if current else await store.create("/changing", b"0")
        while True:
            revision = await store.update("/changing", b"%d" % revision, revision)
            if revision % 50 == 0:
                await store.compact(revision - 20)
    await asyncio.gather(change(), *(write(lane) for lane in range(8)))

asyncio.run(main())
"""


def kill_a_writer(path: Path, lines: int) -> dict[str, int]:
    """Start a writer, kill it after so many acknowledgements; what it had acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = {}
    for _ in range(lines):
        words = process.stdout.readline().split()
        if len(words) == 2:
            acknowledged[words[0]] = int(words[1])
    process.kill()
    for line in process.stdout:
        if line.endswith("\n"):
            key, revision = line.split()
            acknowledged[key] = int(revision)
    process.wait()
    return acknowledged


async def look(path: Path) -> tuple[dict[str, int], int]:
    """What a store holds after the crash, and its revision."""
    store = open_store(str(path), RealClock())
    try:
        page = await store.list("/")
        await look_back(store, page.revision)
        return {entry.key: entry.modified for entry in page.entries}, page.revision
    finally:
        await store.close()


async def look_back(store: SqliteStore, revision: int) -> None:
    """History has no gap from the last compaction on."""
    try:
        await anext(aiter(store.watch("/", 0)))
        oldest = 0
    except Compacted as error:
        oldest = error.oldest
    seen: list[int] = []
    watch = store.watch("/", oldest)
    while len(seen) < revision - oldest:
        seen += [event.entry.modified for event in await anext(aiter(watch))]
    assert seen == list(range(oldest + 1, revision + 1))


def check(rounds: int, path: Path, chance: random.Random) -> None:
    acknowledged: dict[str, int] = {}
    last = 0
    for _ in range(rounds):
        acknowledged |= kill_a_writer(path, chance.randrange(1, 400))
        found, revision = asyncio.run(look(path))
        assert acknowledged.items() <= found.items()
        assert revision >= max(acknowledged.values())
        assert revision >= last, "the revision went back"
        last = revision


def test_g01_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    check(3, tmp_path / "store.db", random.Random(1))


@pytest.mark.long
def test_g01_what_was_acknowledged_is_there_a_hundred_times(tmp_path: Path) -> None:
    check(100, tmp_path / "store.db", random.Random(2))
