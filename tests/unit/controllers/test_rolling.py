"""Sizes of a Deployment's ReplicaSets: bounds, steps, shares (kubernetes rolling.go, sync.go)."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockyard.cluster.controllers.rolling import Sizes, bounds, is_scaled, roll, scale


def spec(replicas: int, surge: Any = "25%", unavailable: Any = "25%") -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),  # surge rounds up, unavailable down
        (1, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (3, 1, 0, (1, 0)),
        (3, 0, 5, (0, 3)),  # never more than there are
        (3, 0, "10%", (0, 1)),  # both zero would never move
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_bounds(replicas: int, surge: Any, unavailable: Any, expected: tuple[int, int]) -> None:
    assert bounds(spec(replicas, surge, unavailable)) == expected


def test_recreation_has_no_bounds() -> None:
    assert bounds({"replicas": 4, "strategy": {"type": "Recreate"}}) == (0, 0)


def old(replicas: int, available: int | None = None, name: str = "old") -> Sizes:
    return Sizes(name, replicas, replicas if available is None else available)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "new", "olds", "expected"),
    [
        (10, 2, 2, Sizes("new", 0, 0), [old(10)], {"new": 2}),
        (10, 2, 2, Sizes("new", 2, 0), [old(10)], {"old": 8}),
        (10, 2, 2, Sizes("new", 2, 0), [old(8)], {"new": 4}),
        (10, 2, 2, Sizes("new", 4, 0), [old(8)], {}),
        (10, 2, 2, Sizes("new", 4, 3), [old(8)], {"old": 5}),
        (10, 0, 2, Sizes("new", 0, 0), [old(10)], {"old": 8}),
        (10, 2, 0, Sizes("new", 2, 1), [old(10)], {"old": 9}),
        # broken old pods go first, and do not count against what serves
        (10, 0, 2, Sizes("new", 0, 0), [old(10, 8)], {"old": 8}),
        (10, 2, 2, Sizes("new", 2, 0), [old(5, 0, "a"), old(5, 5, "b")], {"a": 3}),
        # the documented case: pods of the new set never become available; rolled over
        (10, 3, 2, Sizes("new", 5, 0), [old(8)], {}),
        (10, 3, 2, Sizes("third", 0, 0), [old(8, 8, "a"), old(5, 0, "b")], {"b": 0}),
        # the new set alone is too large
        (3, 1, 0, Sizes("new", 5, 5), [], {"new": 3}),
        (3, 1, 0, Sizes("new", 3, 3), [old(0)], {}),
    ],
)
def test_steps(
    replicas: int, surge: int, unavailable: int, new: Sizes, olds: list[Sizes],
    expected: dict[str, int],
) -> None:  # fmt: skip
    assert roll(spec(replicas, surge, unavailable), new, olds) == expected


@given(
    replicas=st.integers(1, 30), surge=st.integers(0, 10), unavailable=st.integers(0, 10),
    fates=st.lists(st.integers(0, 3), min_size=200, max_size=200),
)  # fmt: skip
def test_a_rollout_stays_within_its_bounds_and_ends(
    replicas: int, surge: int, unavailable: int, fates: list[int]
) -> None:
    wish = spec(replicas, surge, unavailable)
    most, may_miss = bounds(wish)
    new, before = Sizes("new", 0, 0), Sizes("old", replicas, replicas)
    for fate in [*fates, *[9] * 200]:  # first a few pods at a time become ready, then all at once
        sizes = roll(wish, new, [before])
        new = new._replace(replicas=sizes.get("new", new.replicas))
        left = sizes.get("old", before.replicas)
        before = Sizes("old", left, min(before.available, left))
        assert new.replicas + before.replicas <= replicas + most
        assert new.available + before.available >= replicas - may_miss
        new = new._replace(available=min(new.replicas, new.available + fate))
    assert (new.replicas, before.replicas) == (replicas, 0)


def sized(name: str, replicas: int, desired: int, surge: int, available: int = -1) -> Sizes:
    return Sizes(name, replicas, replicas if available < 0 else available, desired, desired + surge)


def test_who_notices_a_scaling() -> None:
    assert not is_scaled(spec(10), [sized("a", 10, 10, 3)])
    assert is_scaled(spec(12), [sized("a", 10, 10, 3)])
    assert not is_scaled(spec(12), [sized("a", 0, 10, 3), Sizes("b", 3, 3)])


@pytest.mark.parametrize(
    ("replicas", "surge", "new", "olds", "expected"),
    [
        # one set that has pods gets all; of none the newest
        (12, 0, None, [sized("a", 10, 10, 0)], {"a": 12}),
        (5, 0, None, [sized("a", 0, 5, 0), sized("b", 0, 5, 0)], {"b": 5}),
        (5, 0, sized("new", 0, 5, 0), [sized("a", 0, 5, 0)], {"new": 5}),
        # the documentation: 10 replicas, surge 3; 8 old and 5 new of a bad image; scaled to 15
        (15, 3, sized("new", 5, 10, 3), [sized("a", 8, 10, 3)], {"a": 11, "new": 7}),
        # in proportion, the rest to the largest
        (12, 0, sized("new", 5, 10, 0), [sized("a", 5, 10, 0)], {"new": 6, "a": 6}),
        (5, 0, sized("new", 5, 10, 0), [sized("a", 5, 10, 0)], {"a": 2, "new": 3}),
        (0, 0, sized("new", 5, 10, 0), [sized("a", 5, 10, 0)], {"a": 0, "new": 0}),
        (6, 0, sized("new", 3, 10, 0), [sized("a", 7, 10, 0)], {"a": 4, "new": 2}),
        # a new set that is done: the old ones are left-overs
        (4, 0, sized("new", 4, 4, 0), [sized("a", 2, 9, 0)], {"a": 0}),
    ],
)
def test_shares(
    replicas: int, surge: int, new: Sizes | None, olds: list[Sizes], expected: dict[str, int]
) -> None:
    assert scale(spec(replicas, surge, 0), new, olds) == expected


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4), replicas=st.integers(0, 100),
    surge=st.integers(0, 10),
)  # fmt: skip
@example(sizes=[1, 1, 1, 1], replicas=1, surge=1)
def test_shares_add_up(sizes: list[int], replicas: int, surge: int) -> None:
    before = sum(sizes)
    every = [sized(str(index), each, before, 0, 0) for index, each in enumerate(sizes)]
    changed = scale(spec(replicas, surge, 0), every[-1], every[:-1])
    after = [changed.get(each.name, each.replicas) for each in every]
    assert all(each >= 0 for each in after)
    wanted = replicas + surge if replicas else 0
    if sum(after) != wanted:  # the largest takes what rounding leaves, but never less than none
        assert sum(after) > wanted
        assert 0 in after
