"""Events are written with the change they tell of, and no more of them are kept than fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.base.errors import Unavailable
from dockyard.node.engine import database
from dockyard.node.engine.config import ContainerConfig
from dockyard.node.engine.event import Event, describe
from helpers.fakes import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def config(yard: Yard, **members: object) -> ContainerConfig:
    return ContainerConfig(rootfs=yard.root, command=("x",), network="none")._replace(**members)


def actions(yard: Yard) -> list[str]:
    return [f"{event.kind} {event.action}"
            for event in yard.engine.events(since=1.0, until=yard.now)]  # fmt: skip


def test_a_life(yard: Yard) -> None:
    made, _ = yard.engine.run(config(yard, network="bridge"), name="web")
    yard.now += 3
    yard.runtime.end(yard.runtime.launched[-1], 4, finished=yard.now)
    yard.engine.find("web")
    yard.engine.remove("web")
    assert actions(yard) == ["container create", "network connect", "container start",
                             "container die", "network disconnect",
                             "container destroy"]  # fmt: skip
    [died] = [event for event in yard.engine.events(since=1.0, until=yard.now)
              if event.action == "die"]  # fmt: skip
    assert died.attributes == {"image": yard.root, "name": "web", "exitCode": "4",
                               "execDuration": "3"}  # fmt: skip
    assert (died.id, died.time) == (made.id, yard.now)


def test_a_making_that_fails_tells_nothing(yard: Yard) -> None:
    with pytest.raises(Exception, match="no command"):
        yard.engine.create(config(yard, command=()), name="web")
    assert actions(yard) == []


def test_an_end_that_nobody_has_seen_is_told_by_who_looks(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    yard.now += 1
    yard.runtime.end(yard.runtime.launched[-1], 0, finished=yard.now)
    assert actions(yard)[-1] == "container die"
    assert yard.engine.find("web").status == "exited"


def test_only_the_newest_are_kept(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "EVENTS_KEPT", 5)
    yard.engine.run(config(yard), name="web")
    for _ in range(10):
        yard.now += 1
        yard.engine.kill("web", 1)
    found = list(yard.engine.events(since=1.0, until=yard.now))
    assert [event.action for event in found] == ["kill"] * 5
    assert found[-1].time == yard.now


def test_a_full_disk_stops_no_signal(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")

    def full(*_: object) -> None:
        raise Unavailable("node.db: database or disk is full")

    yard.engine._parts.database.tell = full  # type: ignore[method-assign]
    yard.engine.kill("web", 1)
    assert yard.runtime.calls[-1] == "signal 1"


def test_since_and_until(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    yard.now = 200.0
    yard.engine.kill("web", 1)
    yard.now = 300.0
    assert [event.action for event in yard.engine.events(since=150.0, until=250.0)] == ["kill"]
    assert list(yard.engine.events(until=250.0)) == []


def test_the_shape_of_dockers_api() -> None:
    event = Event("container", "start", "i", {"image": "alpine", "name": "web"}, 12.5)
    assert describe(event) == {
        "status": "start", "id": "i", "from": "alpine", "Type": "container", "Action": "start",
        "Actor": {"ID": "i", "Attributes": {"image": "alpine", "name": "web"}},
        "scope": "local", "time": 12, "timeNano": 12_500_000_000,
    }  # fmt: skip
    assert "status" not in describe(Event("network", "connect", "bridge", {}, 1.0))
