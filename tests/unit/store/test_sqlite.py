"""What only a store on a disk can do wrong: locks, full and broken disks, damaged bytes."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.errors import Conflict, Corrupt, Unavailable
from dockyard.cluster.store import database, sqlite, writer


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def size_of(path: str) -> int:
    return Path(path).stat().st_size


def test_g16_a_second_opener_is_refused_by_pid(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        first = sqlite.open_store(str(tmp_path / "s.db"), clock)
        with pytest.raises(Conflict, match="pid "):
            sqlite.open_store(str(tmp_path / "s.db"), clock)
        await first.close()
        await sqlite.open_store(str(tmp_path / "s.db"), clock).close()

    run_turnable(clock, main())


def test_a_closed_sqlite_store_opens_with_all_it_had(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        for number in range(20):
            await store.create(f"/k/{number:02}", b"v")
        await store.delete("/k/07")
        await store.close()
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        assert store.revision() == 21
        assert await store.count("/k/") == 19
        assert (await store.get("/k/07", 20)) is not None
        await store.close()

    run_turnable(clock, main())


def test_a_time_to_live_is_kept_over_a_restart(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        await store.create("/e", b"1", ttl=60)
        await store.close()
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        await clock.advance(59)
        assert await store.get("/e") is not None
        await clock.advance(2)
        assert await store.get("/e") is None
        await store.close()

    run_turnable(clock, main())


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        await store.create("/secret", b"1")
        await store.snapshot(str(tmp_path / "copy"))
        assert modes_in(tmp_path) == {0o600}
        await store.close()

    run_turnable(clock, main())


def test_g01_compaction_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock, path = TurnableClock(), str(tmp_path / "s.db")

    async def fill() -> None:
        store = sqlite.open_store(path, clock)
        at = await store.create("/a", b"0")
        for _ in range(50):
            at = await store.update("/a", b"1", at)
        await store.close()

    run_turnable(clock, fill())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE facts SET value = 40 WHERE name = 'oldest'")  # and then it died
    connection.commit()
    connection.close()

    async def look() -> None:
        store = sqlite.open_store(path, clock)
        await store.create("/b", b"1")
        await store.close()

    run_turnable(clock, look())
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT min(revision) FROM history").fetchone() == (40,)
    connection.close()


def test_g03_a_full_disk_fails_the_write_and_nothing_else(tmp_path: Path) -> None:
    clock = TurnableClock()

    async def main() -> None:
        store = sqlite.open_store(str(tmp_path / "s.db"), clock)
        await store.create("/a", b"1")
        pages = store._writer._connection.execute("PRAGMA page_count").fetchone()[0]
        store._writer._connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(Unavailable, match="full"):
            await store.create("/big", b"x" * 100_000)
        assert store.revision() == 1
        assert await store.get("/a") == ("/a", b"1", 1, 1)
        assert await store.get("/big") is None
        store._writer._connection.execute("PRAGMA max_page_count=100000")
        assert await store.create("/big", b"x" * 100_000) == 2
        await store.close()

    run_turnable(clock, main())


BROKEN_DISK = """
import asyncio, resource, sys
from dockyard.base.aio.clock import RealClock
from dockyard.base.errors import Unavailable
from dockyard.cluster.store.sqlite import open_store

async def main():
    store = open_store(sys.argv[1], RealClock())
    await store.create("/a", b"1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    for _ in range(2):
        try:
            await store.create("/b", b"x" * 10000)
        except Unavailable as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print((await store.get("/a")).value, store.revision())
    await store.close()

asyncio.run(main())
"""


def test_g04_after_a_failed_write_to_the_disk_nothing_more_is_acknowledged(tmp_path: Path) -> None:
    """EFBIG stands for EIO: the kernel refuses the write, and later ones would work."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN_DISK, str(tmp_path / "s.db")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    assert all("restart on a sound disk" in line for line in lines[:2])
    assert lines[2] == "b'1' 1"


def test_g05_damaged_bytes_are_found(tmp_path: Path) -> None:
    clock, path = TurnableClock(), tmp_path / "s.db"
    value = b"precious" * 8

    async def fill() -> None:
        store = sqlite.open_store(str(path), clock)
        await store.create("/a", value)
        await store.create("/b", b"sound")
        await store.close()

    run_turnable(clock, fill())
    data = bytearray(path.read_bytes())
    at = data.find(value)
    while at >= 0:
        data[at] ^= 1
        at = data.find(value, at + 1)
    path.write_bytes(data)

    async def look() -> None:
        store = sqlite.open_store(str(path), clock)
        with pytest.raises(Corrupt, match="/a at revision 1"):
            await store.get("/a")
        with pytest.raises(Corrupt):
            await store.list("/")
        with pytest.raises(Corrupt):
            await store.update("/a", b"new", 1)
        assert await store.get("/b") == ("/b", b"sound", 2, 2)
        assert await store.create("/c", b"still works") == 3
        await store.close()

    run_turnable(clock, look())


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 100])
def test_g05_a_file_that_is_no_store_is_refused(tmp_path: Path, damage: bytes) -> None:
    clock, path = TurnableClock(), tmp_path / "s.db"
    path.write_bytes(damage)

    async def main() -> None:
        if damage:
            with pytest.raises(Corrupt, match=r"s\.db"):
                sqlite.open_store(str(path), clock)
            path.unlink()
        await sqlite.open_store(str(path), clock).close()  # and the lock has been let go

    run_turnable(clock, main())


def test_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (y)")
    connection.execute("PRAGMA user_version = 7")
    connection.close()

    async def main() -> None:
        with pytest.raises(Conflict, match="layout 7"):
            sqlite.open_store(str(path), TurnableClock())

    asyncio.run(main())


def test_g21_the_log_stays_bounded_under_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is always one that reads: SQLite alone would let the log grow to 12 MB."""
    monkeypatch.setattr(writer, "LARGEST_WAL", 1_000_000)
    path = str(tmp_path / "s.db")
    stop = threading.Event()

    def read() -> None:
        readers = [database.open_database(path, read_only=True) for _ in range(2)]
        for each in itertools.cycle(readers):
            each.execute("BEGIN")
            each.execute("SELECT count(*) FROM current").fetchone()
            other = readers[each is readers[0]]
            if other.in_transaction:
                other.execute("COMMIT")
            if stop.wait(0.002):
                break
        for each in readers:
            each.close()

    async def main() -> None:
        store = sqlite.open_store(path, TurnableClock())
        thread = threading.Thread(target=read)
        thread.start()
        largest = 0
        for number in range(300):
            await store.create(f"/{number}", b"x" * 20_000)
            largest = max(largest, size_of(f"{path}-wal"))
        stop.set()
        thread.join()
        assert largest < 6_000_000
        await store.close()

    asyncio.run(main())


def test_g05_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snapshot").write_bytes(b"x" * 5000)
    with pytest.raises(Corrupt):
        sqlite.restore(str(tmp_path / "snapshot"), str(tmp_path / "s.db"))
    with pytest.raises(Unavailable, match="no such snapshot"):
        sqlite.restore(str(tmp_path / "nothing"), str(tmp_path / "s.db"))
    assert not (tmp_path / "s.db").exists()
