"""Pauses after failures: client-go's flowcontrol.Backoff with the kubelet's numbers."""

import pytest

from dockyard.cluster.kubelet.backoff import BackOff, go_duration


def test_the_first_failure_is_tried_again_at_once_and_then_pauses_double() -> None:
    found = BackOff()
    now = 1000.0
    assert found.left("c", now, now) == 0
    pauses = []
    for _ in range(8):
        found.tried("c", now, now)
        now += 1  # it runs for a second and ends
        pauses.append(found.left("c", now, now))
        assert found.pause("c") == pauses[-1]
        assert found.left("c", now, now + pauses[-1] - 0.5) == 0.5
        now += pauses[-1]
        assert found.left("c", now - pauses[-1], now) == 0
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]


def test_the_pause_counts_from_the_end_not_from_the_start() -> None:
    found = BackOff()
    found.tried("c", 0.0, 0.0)
    assert found.left("c", 500.0, 503.0) == 7


@pytest.mark.parametrize(("ran", "left"), [(600.0, 10), (600.1, 0)])
def test_ten_quiet_minutes_forget(ran: float, left: float) -> None:
    found = BackOff()
    found.tried("c", 0.0, 0.0)
    assert found.left("c", ran, ran) == left
    found.tried("c", ran, ran)
    assert found.pause("c") == (20 if left else 10)


def test_names_do_not_meet() -> None:
    found = BackOff()
    found.tried("a", 0.0, 0.0)
    assert found.left("b", 1.0, 1.0) == 0
    found.forget("a")
    assert (found.left("a", 1.0, 1.0), found.pause("a")) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.3, "300ms"), (0.0015, "1.5ms"), (1, "1s"), (1.5, "1.5s"), (10, "10s"),
     (60, "1m0s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s"), (3600, "1h0m0s"),
     (3661.25, "1h1m1.25s")],
)  # fmt: skip
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
