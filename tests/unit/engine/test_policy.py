"""Restart policies: moby's restart manager, `docker run --restart` of its reference."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.engine import policy
from dockyard.node.engine.config import EXITED, Container, ContainerConfig, RestartPolicy


def ended(
    name: str, code: int, *, maximum: int = 0, restarts: int = 0, delay: float = 0.0,
    lasted: float = 1.0, stopped: bool = False,
) -> Container:  # fmt: skip
    config = ContainerConfig(restart=RestartPolicy(name, maximum))
    return Container("i", "n", "cli", 0.0, EXITED, config, started=100.0, finished=100.0 + lasted,
                     exit_code=code, restarts=restarts, delay=delay, stopped=stopped)  # fmt: skip


@pytest.mark.parametrize(
    ("container", "starts"),
    [
        (ended("no", 1), False),
        (ended("", 1), False),
        (ended("always", 0), True),
        (ended("always", 1), True),
        (ended("unless-stopped", 0), True),
        (ended("always", 0, stopped=True), False),
        (ended("unless-stopped", 0, stopped=True), False),
        (ended("on-failure", 0), False),
        (ended("on-failure", 1), True),
        (ended("on-failure", 137), True),
        (ended("on-failure", 1, stopped=True), False),
        (ended("on-failure", 1, maximum=2, restarts=1), True),
        (ended("on-failure", 1, maximum=2, restarts=2), False),
    ],
)
def test_whether_it_starts_again(container: Container, starts: bool) -> None:
    assert (policy.delay(container) is not None) == starts


def test_the_delay_doubles_up_to_a_minute() -> None:
    found, delay = [], 0.0
    for _ in range(12):
        after = policy.delay(ended("always", 1, delay=delay))
        assert after is not None
        delay = after
        found.append(delay)
    assert found[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert found[-1] == 60.0


def test_a_good_run_begins_it_anew() -> None:
    assert policy.delay(ended("always", 1, delay=12.8, lasted=9.9)) == 25.6
    assert policy.delay(ended("always", 1, delay=12.8, lasted=10.0)) == 0.1


@pytest.mark.parametrize(
    "wrong",
    [RestartPolicy("sometimes"), RestartPolicy("always", 3), RestartPolicy("on-failure", -1)],
)
def test_policies_that_are_none(wrong: RestartPolicy) -> None:
    with pytest.raises(Invalid):
        policy.check(wrong)


@pytest.mark.parametrize(
    ("container", "starts"),
    [
        (ended("no", 1), False),
        (ended("always", 0, stopped=True), True),
        (ended("always", 0)._replace(started=0.0), False),
        (ended("always", 0)._replace(status="running"), False),
        (ended("unless-stopped", 0), True),
        (ended("unless-stopped", 0, stopped=True), False),
        (ended("on-failure", 0), False),
        (ended("on-failure", 1), True),
        (ended("on-failure", 1, stopped=True), False),
        (ended("on-failure", 1, maximum=2, restarts=2), False),
        (ended("on-failure", 1, maximum=2, restarts=1)._replace(status="restarting"), True),
    ],
)
def test_whether_it_starts_with_the_machine(container: Container, starts: bool) -> None:
    """docker's "Start containers automatically"; moby restores no container that never ran."""
    assert policy.due_at_start(container) == starts
