"""What a controller has done must be seen before it decides again."""

from __future__ import annotations

from dockyard.base.aio.clock import TurnableClock
from dockyard.cluster.client.expectations import LONGEST_SECONDS, Expectations


def test_everything_expected_has_to_be_seen() -> None:
    expected = Expectations(TurnableClock())
    assert expected.met("a")
    expected.expect("a", creations=2, deletions=["u1"])
    expected.created("a")
    expected.created("b")
    assert not expected.met("a")
    expected.created("a")
    expected.created("a")  # one of somebody else's
    assert not expected.met("a")
    expected.deleted("a", "u2")
    assert not expected.met("a")
    expected.deleted("a", "u1")
    assert expected.met("a")


def test_what_is_never_seen_is_not_waited_for_forever() -> None:
    clock = TurnableClock()
    expected = Expectations(clock)
    expected.expect("a", creations=1)
    clock._elapsed = LONGEST_SECONDS - 1
    assert not expected.met("a")
    clock._elapsed = LONGEST_SECONDS
    assert expected.met("a")
    expected.expect("a", creations=1)
    expected.forget("a")
    assert expected.met("a")
