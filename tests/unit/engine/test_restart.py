"""Who starts a container again, and what happens when that one is killed in the middle (G09)."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.node.engine import restart
from dockyard.node.engine.config import ContainerConfig, RestartPolicy
from dockyard.node.engine.update import Wishes
from helpers.fakes import Crash, Yard, crash_at


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def config(yard: Yard, name: str = "always", maximum: int = 0) -> ContainerConfig:
    return ContainerConfig(rootfs=yard.root, command=("x",), network="none",
                           restart=RestartPolicy(name, maximum))  # fmt: skip


def end(yard: Yard, code: int = 1) -> None:
    """The program has ended, and a long time has gone by: whoever waits has waited enough."""
    yard.runtime.end(yard.runtime.launched[-1], code, finished=yard.now)
    yard.now += 1000.0


def test_its_monitor_is_told_what_to_execute(yard: Yard) -> None:
    made, _ = yard.engine.run(config(yard), name="web")
    assert yard.runtime.launched[-1].on_exit == ("aftermath", "ended", made.id)
    yard.engine.run(config(yard, "no"), name="plain")
    assert yard.runtime.launched[-1].on_exit == ()


def test_it_starts_again(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    for count in (1, 2, 3):
        end(yard)
        assert yard.engine.find("web").status == "restarting"
        yard.engine.after_exit("web")
        found = yard.engine.find("web")
        assert (found.status, found.restarts) == ("running", count)
    assert len(yard.runtime.launched) == 4


def test_it_is_left_alone_when_somebody_was_faster(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    end(yard)
    ended = yard.engine.find("web")
    yard.engine.stop("web")
    restart.again(yard.engine._parts, ended)
    assert yard.engine.find("web").status == "exited"
    yard.engine.start("web")
    restart.again(yard.engine._parts, ended)
    assert len(yard.runtime.launched) == 2
    yard.engine.after_exit("nobody")


def test_stop_takes_the_command_away_first(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    yard.runtime.calls.clear()
    yard.engine.kill("web")
    assert yard.runtime.calls == ["watch", "signal 9"]
    end(yard, 137)
    assert yard.engine.find("web").status == "exited"
    yard.engine.after_exit("web")
    assert yard.engine.find("web").status == "exited"


def test_another_policy_for_one_that_runs(yard: Yard) -> None:
    yard.engine.run(config(yard, "no"), name="web")
    yard.engine.update("web", Wishes({}, RestartPolicy("always")))
    assert yard.runtime.calls[-1] == "watch aftermath ended"
    end(yard)
    assert yard.engine.find("web").status == "restarting"
    yard.engine.update("web", Wishes({}, RestartPolicy("no")))
    assert yard.engine.find("web").status == "exited"


def test_one_that_cannot_start_says_why(yard: Yard) -> None:
    from dockyard.interfaces.ociruntime import StartFailed

    yard.engine.run(config(yard), name="web")
    end(yard)
    yard.runtime.fail["create"] = StartFailed("no memory", 125)
    with pytest.raises(StartFailed):
        yard.engine.after_exit("web")
    found = yard.engine.find("web")
    assert (found.status, found.error, found.exit_code) == ("exited", "no memory", 125)


@pytest.mark.parametrize("step", ["create", "start", "update"])
def test_g09_who_started_it_again_was_killed(yard: Yard, step: str) -> None:
    yard.engine.run(config(yard), name="web")
    end(yard)
    target = yard.engine._parts.database if step == "update" else yard.runtime
    repairs = [crash_at(target, step), crash_at(yard.runtime, "delete")]  # nor is it cleaned up
    with pytest.raises(Crash):
        yard.engine.after_exit("web")
    for repair in repairs:
        repair()
    yard.another().tidy("cli")
    found = yard.engine.find("web")
    assert found.status == "running"
    assert yard.folders == [found.id]


def test_g08_a_monitor_was_killed_and_the_next_command_notices(yard: Yard) -> None:
    yard.engine.run(config(yard), name="web")
    yard.engine.run(config(yard, "no"), name="plain")
    yard.runtime.states.clear()  # nobody has written how they ended
    yard.another().tidy("docker")
    assert yard.engine.find("web").status == "restarting"
    yard.another().tidy("cli")
    assert yard.engine.find("web").status == "running"
    assert yard.engine.find("plain").status == "exited"
