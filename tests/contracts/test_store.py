"""One suite, two stores: what cluster/store/contract.py promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.base.errors import Unavailable
from dockyard.cluster.store import hub, memory, sqlite
from dockyard.cluster.store.contract import (
    Compacted,
    Event,
    FutureRevision,
    KeyConflict,
    SlowWatcher,
    Store,
    Watch,
)

Body = Callable[[Store, TurnableClock], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Body], None]:
    """Run a body against a fresh store of each kind."""

    def run(body: Body) -> None:
        clock = TurnableClock()

        async def main() -> None:
            store: Store
            if request.param == "memory":
                store = memory.MemoryStore(clock)
            else:
                store = sqlite.open_store(str(tmp_path / "store.db"), clock)
            try:
                await body(store, clock)
            finally:
                await store.close()

        run_turnable(clock, main())

    return run


async def take(watch: Watch, count: int) -> list[Event]:
    """The next so many changes of a watch."""
    found: list[Event] = []
    async for batch in watch:
        found += batch
        if len(found) >= count:
            break
    return found


def test_one_counter_for_all_keys(check: Callable[[Body], None]) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        assert store.revision() == 0
        assert await store.create("/a/1", b"x") == 1
        assert await store.create("/b/1", b"y") == 2
        assert await store.update("/a/1", b"z", 1) == 3
        entry = await store.get("/a/1")
        assert entry == ("/a/1", b"z", 1, 3)
        gone = await store.delete("/a/1", 3)
        assert gone == ("/a/1", b"z", 1, 4)
        assert await store.get("/a/1") is None
        assert await store.create("/a/1", b"new") == 5
        assert store.revision() == 5

    check(body)


def test_a_conflict_carries_the_current_value_and_changes_nothing(
    check: Callable[[Body], None],
) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/a", b"1")
        for attempt in (
            store.create("/a", b"2"),
            store.update("/a", b"2", 9),
            store.delete("/a", 9),
        ):
            with pytest.raises(KeyConflict) as caught:
                await attempt
            assert caught.value.current == ("/a", b"1", 1, 1)
        with pytest.raises(KeyConflict) as missing:
            await store.update("/b", b"2", 1)
        assert missing.value.current is None
        assert store.revision() == 1

    check(body)


def test_lists_are_sorted_paged_and_of_one_revision(check: Callable[[Body], None]) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        for name in ("c", "a", "b"):
            await store.create(f"/p/{name}", name.encode())
        await store.create("/pq/x", b"no")
        first = await store.list("/p/", limit=2)
        assert [entry.key for entry in first.entries] == ["/p/a", "/p/b"]
        assert (first.revision, first.more, first.remaining) == (4, True, 1)
        await store.update("/p/c", b"later", 1)
        await store.create("/p/d", b"later")
        rest = await store.list("/p/", revision=4, limit=2, after="/p/b")
        assert [(entry.key, entry.value) for entry in rest.entries] == [("/p/c", b"c")]
        assert (rest.revision, rest.more, rest.remaining) == (4, False, 0)
        assert await store.count("/p/") == 4
        whole = await store.list("/p/")
        assert [entry.value for entry in whole.entries] == [b"a", b"b", b"later", b"later"]

    check(body)


def test_the_past_can_be_read_until_it_is_compacted(check: Callable[[Body], None]) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/a", b"1")
        await store.update("/a", b"2", 1)
        await store.create("/b", b"1")
        await store.delete("/a")
        past = await store.get("/a", 2)
        assert past is not None and past.value == b"2"
        assert await store.get("/b", 2) is None
        assert [e.key for e in (await store.list("/", revision=3)).entries] == ["/a", "/b"]
        await store.compact(3)
        with pytest.raises(Compacted):
            await store.get("/a", 2)
        with pytest.raises(Compacted):
            await take(store.watch("/", 1), 1)
        assert [e.key for e in (await store.list("/", revision=3)).entries] == ["/a", "/b"]
        assert [e.key for e in (await store.list("/")).entries] == ["/b"]
        with pytest.raises(FutureRevision):
            await store.get("/b", 99)
        with pytest.raises(FutureRevision):
            store.watch("/", 99)

    check(body)


def test_a_watch_from_the_past_has_no_gap_and_no_repetition(
    check: Callable[[Body], None],
) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/a/x", b"1")
        await store.create("/b/x", b"1")
        await store.update("/a/x", b"2", 1)
        watch = store.watch("/a/", 1)
        await store.update("/a/x", b"3", 3)
        await store.delete("/a/x", 4)
        events = await take(watch, 3)
        assert [(e.deleted, e.entry.value, e.entry.modified) for e in events] == [
            (False, b"2", 3),
            (False, b"3", 4),
            (True, b"3", 5),
        ]
        assert [e.previous and e.previous.value for e in events] == [b"1", b"2", b"3"]
        watch.close()

    check(body)


def test_many_writers_lose_nothing(check: Callable[[Body], None]) -> None:
    """F16: a counter that 50 tasks raise 10 times each, with retries on conflict."""

    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/n", b"0")
        seen: list[int] = []

        async def raise_it() -> None:
            for _ in range(10):
                while True:
                    entry = await store.get("/n")
                    assert entry is not None
                    try:
                        seen.append(
                            await store.update("/n", b"%d" % (int(entry.value) + 1), entry.modified)
                        )
                    except KeyConflict:
                        continue
                    break

        await asyncio.gather(*(raise_it() for _ in range(50)))
        final = await store.get("/n")
        assert final is not None and final.value == b"500"
        assert sorted(seen) == list(range(2, 502))

    check(body)


def test_a_key_with_a_time_to_live_goes_and_is_seen_to_go(check: Callable[[Body], None]) -> None:
    async def body(store: Store, clock: TurnableClock) -> None:
        await store.create("/e", b"1", ttl=60)
        await clock.advance(30)
        await store.update("/e", b"2", 1, ttl=60)
        await clock.advance(50)
        assert await store.get("/e") is not None
        watch = store.watch("/", 2)
        await clock.advance(15)
        assert await store.get("/e") is None
        events = await take(watch, 1)
        assert events[0].deleted and events[0].entry.value == b"2"

    check(body)


def test_a_snapshot_is_the_whole_store(check: Callable[[Body], None], tmp_path: Path) -> None:
    async def body(store: Store, clock: TurnableClock) -> None:
        await store.create("/a", b"1")
        await store.update("/a", b"2", 1)
        path = str(tmp_path / "snapshot")
        assert await store.snapshot(path) == 2
        await store.delete("/a")
        again: Store
        if isinstance(store, memory.MemoryStore):
            again = memory.restore(path, clock)
        else:
            sqlite.restore(path, str(tmp_path / "again.db"))
            again = sqlite.open_store(str(tmp_path / "again.db"), clock)
        assert await again.get("/a") == ("/a", b"2", 1, 2)
        assert again.revision() == 2
        await again.close()

    check(body)


def test_f17_a_delete_at_the_compaction_edge_is_still_delivered(
    check: Callable[[Body], None],
) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/a", b"1")
        await store.create("/b", b"1")
        await store.update("/a", b"2", 1)
        await store.compact(3)
        await store.delete("/b")
        await store.delete("/a")
        events = await take(store.watch("/", 3), 2)
        assert [(e.deleted, e.entry.key, e.entry.modified) for e in events] == [
            (True, "/b", 4),
            (True, "/a", 5),
        ]
        assert [e.previous and e.previous.value for e in events] == [b"1", b"2"]
        with pytest.raises(Compacted) as caught:
            await take(store.watch("/", 2), 1)
        assert caught.value.oldest == 3

    check(body)


def test_compaction_goes_on_between_writes_and_keeps_what_is_current(
    check: Callable[[Body], None],
) -> None:
    async def body(store: Store, clock: TurnableClock) -> None:
        keys = [f"/k/{n:02}" for n in range(50)]
        at = dict(zip(keys, [await store.create(key, b"0") for key in keys], strict=True))
        for turn in range(100):
            results = await asyncio.gather(
                *(store.update(key, b"%d" % turn, at[key]) for key in keys)
            )
            at = dict(zip(keys, results, strict=True))
        middle = store.revision() - 10
        await store.compact(middle)
        await store.create("/later", b"x")
        await clock.settle()
        page = await store.list("/k/", revision=middle)
        assert len(page.entries) == 50 and all(e.modified <= middle for e in page.entries)
        assert {e.key: e.modified for e in (await store.list("/k/")).entries} == at
        events = await take(store.watch("/", middle), 11)
        assert [event.entry.modified for event in events] == list(range(middle + 1, middle + 12))
        assert all(event.previous for event in events[:10])
        with pytest.raises(Compacted):
            await store.compact(middle - 5)
        with pytest.raises(Compacted):
            await store.get("/later", middle - 1)

    check(body)


def test_progress_tells_a_quiet_watch_how_far_it_has_come(check: Callable[[Body], None]) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        quiet = store.watch("/quiet/", 0)
        await store.create("/loud/1", b"x")
        await store.create("/loud/2", b"x")
        store.progress()
        async for batch in quiet:
            assert batch == []
            assert quiet.revision == 2
            break

    check(body)


def test_g17_a_watch_that_nobody_reads_is_cut_off_with_an_error(
    check: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_BATCHES", 4)

    async def body(store: Store, _: TurnableClock) -> None:
        slow, other = store.watch("/", 0), store.watch("/", 0)
        reader = asyncio.create_task(take(other, 9))
        for number in range(9):
            await store.create(f"/{number}", b"x")
            await asyncio.sleep(0)
        assert len(await reader) == 9
        with pytest.raises(SlowWatcher):
            await take(slow, 9)

    check(body)


def test_a_closed_store_says_so(check: Callable[[Body], None]) -> None:
    async def body(store: Store, _: TurnableClock) -> None:
        await store.create("/a", b"1")
        watch = store.watch("/", 1)
        await store.close()
        assert await take(watch, 1) == []
        with pytest.raises(Unavailable, match="closed"):
            await store.create("/b", b"1")
        with pytest.raises(Unavailable, match="closed"):
            await store.update("/a", b"2", 1)

    check(body)


def test_a_value_without_a_time_to_live_stays(check: Callable[[Body], None]) -> None:
    async def body(store: Store, clock: TurnableClock) -> None:
        first = await store.create("/a", b"1", ttl=10)
        await store.update("/a", b"2", first)
        await store.create("/b", b"1", ttl=10)
        await store.delete("/b")
        await store.create("/b", b"2")
        await clock.advance(60)
        assert [e.value for e in (await store.list("/")).entries] == [b"2", b"2"]

    check(body)


def test_a_read_is_never_ahead_of_what_may_be_watched(check: Callable[[Body], None]) -> None:
    """F18: a list's revision can be watched from, and a value's revision be read, at once."""

    async def body(store: Store, _: TurnableClock) -> None:
        async def write() -> None:
            for number in range(100):
                await store.create(f"/w/{number}", b"x")

        async def read() -> None:
            for _ in range(100):
                page = await store.list("/w/", limit=1)
                store.watch("/w/", page.revision).close()
                await store.list("/w/", revision=page.revision, limit=1)

        await asyncio.gather(write(), write_again(store), read(), read())

    async def write_again(store: Store) -> None:
        for number in range(100):
            await store.create(f"/v/{number}", b"x")

    check(body)
