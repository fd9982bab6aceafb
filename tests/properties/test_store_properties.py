"""Stores against a model: a dict for each revision."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.base.aio.clock import TurnableClock, run_turnable
from dockyard.cluster.store import memory, sqlite
from dockyard.cluster.store.contract import Compacted, KeyConflict, Store

KEYS = ("/a/1", "/a/2", "/a0", "/b/1", "/b/\u00fc", "/b/\U0010fffe")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(KEYS), st.binary(max_size=4)),
        st.tuples(st.just("update"), st.sampled_from(KEYS), st.binary(max_size=4)),
        st.tuples(st.just("stale"), st.sampled_from(KEYS), st.binary(max_size=4)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(b"")),
        st.tuples(st.just("compact"), st.integers(0, 30), st.just(b"")),
    ),
    max_size=30,
)
Model = dict[str, tuple[bytes, int, int]]


class Tracked:
    """The states that a store has been in."""

    def __init__(self) -> None:
        self.states: list[Model] = [{}]
        self.deleted: list[bool] = [False]
        self.oldest = 0

    async def step(self, store: Store, verb: str, where: str | int, value: bytes) -> None:
        now = self.states[-1]
        revision = len(self.states)
        if isinstance(where, int):
            if self.oldest < where < revision:
                await store.compact(where)
                self.oldest = where
            return
        current = now.get(where)
        try:
            if verb == "create":
                assert await store.create(where, value) == revision
                entry = (value, revision, revision)
            elif verb == "update":
                assert await store.update(where, value, current[2] if current else 1) == revision
                assert current is not None
                entry = (value, current[1], revision)
            elif verb == "stale":
                await store.update(where, value, (current[2] if current else 0) + 1)
                raise AssertionError("an update at a revision that the key is not at")
            else:
                gone = await store.delete(where)
                assert current is not None
                assert gone == (where, current[0], current[1], revision)
                self.states.append({k: v for k, v in now.items() if k != where})
                self.deleted.append(True)
                return
        except KeyConflict as conflict:
            found = conflict.current
            assert (found and found[1:]) == current
            assert (verb == "create") == (current is not None) or verb == "stale"
            return
        self.states.append({**now, where: entry})
        self.deleted.append(False)

    async def compare(self, store: Store) -> None:
        assert store.revision() == len(self.states) - 1
        for revision, state in enumerate(self.states):
            if revision == 0:
                continue
            for prefix in ("/", "/a/", "/b/"):
                try:
                    page = await store.list(prefix, revision=revision)
                except Compacted:
                    assert revision < self.oldest
                    continue
                assert revision >= self.oldest
                assert [(e.key, e[1:]) for e in page.entries] == sorted(
                    (k, v) for k, v in state.items() if k.startswith(prefix)
                )
        start = self.oldest
        watch = store.watch("/", start)
        wanted = len(self.states) - 1 - start
        seen = []
        async for batch in watch if wanted else _nothing():
            seen += batch
            if len(seen) >= wanted:
                break
        for offset, event in enumerate(seen, start + 1):
            before, after = self.states[offset - 1], self.states[offset]
            key = event.entry.key
            assert event.entry.modified == offset
            assert event.deleted == self.deleted[offset]
            assert (event.previous and event.previous[1:]) == before.get(key)
            if not event.deleted:
                assert event.entry[1:] == after[key]


async def _nothing():  # type: ignore[no-untyped-def]
    for nothing in ():
        yield nothing


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
def test_f16_a_store_is_what_its_model_is(kind: str, steps: list[tuple[str, str, bytes]]) -> None:
    clock = TurnableClock()

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store: Store
            if kind == "memory":
                store = memory.MemoryStore(clock)
            else:
                store = sqlite.open_store(str(Path(folder) / "s.db"), clock)
            tracked = Tracked()
            try:
                for verb, where, value in steps:
                    await tracked.step(store, verb, where, value)
                await clock.settle()
                await tracked.compare(store)
            finally:
                await store.close()

    run_turnable(clock, main())
