"""G09: the engine's process ends at each step of each change; the next leaves nothing half done.

A crash is an exception that no clean-up sees: the clean-ups end with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine import clear, create, remove, start
from dockyard.node.engine.config import ContainerConfig, MountSpec
from dockyard.node.engine.database import Database
from helpers.fakes import Crash, Yard, crash_at

MOUNTS = (MountSpec("volume", "", "/anonymous"), MountSpec("volume", "kept", "/kept"))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


@pytest.fixture
def no_clean_up() -> Iterator[None]:
    """What a process does in its last moments, a killed one does not."""
    with (
        mock.patch.object(create.remove, "erase", side_effect=Crash),
        mock.patch.object(start, "undo", side_effect=Crash),
    ):
        yield


def config(yard: Yard, **more: object) -> ContainerConfig:
    found = ContainerConfig(rootfs=yard.root, command=("true",), mounts=MOUNTS)
    return found._replace(**more)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["folders", "volumes", "row"])
def test_g09_a_making_that_was_cut_off_ends_in_nothing(yard: Yard, step: str) -> None:
    with (
        mock.patch.object(create.remove, "erase", side_effect=Crash),
        mock.patch.object(
            *{
                "folders": (create, "make_folders"),
                "volumes": (create.mounts, "prepare"),
                "row": (Database, "update"),
            }[step],
            side_effect=Crash,
        ),
        pytest.raises(Crash),
    ):
        yard.engine.create(config(yard), name="web")
    later = yard.another()
    assert later.list() == [], "a container that is being made is not shown"
    later.tidy("cli")
    assert yard.folders == []
    assert yard.volumes.names <= {"kept"}
    later.create(config(yard), name="web")


@pytest.mark.parametrize("step", ["create", "attach", "start", "update"])
@pytest.mark.parametrize("auto_remove", [False, True])
def test_g09_a_start_that_was_cut_off_is_taken_back(
    yard: Yard, step: str, auto_remove: bool, no_clean_up: None
) -> None:
    made = yard.engine.create(config(yard, auto_remove=auto_remove), name="web")
    if step == "update":
        update = Database.update

        def cut(database: Database, container: object) -> None:
            if container.status == "running":  # type: ignore[attr-defined]
                raise Crash
            update(database, container)  # type: ignore[arg-type]

        with mock.patch.object(Database, "update", cut), pytest.raises(Crash):
            yard.engine.start("web")
    else:
        heal = crash_at(yard.network if step == "attach" else yard.runtime, step)
        with pytest.raises(Crash):
            yard.engine.start("web")
        heal()
    later = yard.another()
    assert [each.status for each in later.list()] == ["created"]
    with mock.patch.object(start, "undo", _undo), mock.patch.object(remove, "erase", _erase):
        later.tidy("cli")
    assert yard.runtime.states == {}
    assert yard.network.connected == {}
    assert [each.id for each in later.list()] == ([] if auto_remove else [made.id])
    assert len(yard.folders) == (0 if auto_remove else 1)


_undo, _erase = start.undo, remove.erase


@pytest.mark.parametrize("step", ["clear", "tree", "volumes", "row"])
def test_g09_a_removal_that_was_cut_off_is_finished(yard: Yard, step: str) -> None:
    made = yard.engine.create(config(yard), name="web")
    yard.engine.start("web")
    target, name = {
        "clear": (clear, "disconnect"),
        "tree": (remove, "remove_tree"),
        "volumes": (yard.volumes, "remove"),
        "row": (Database, "delete"),
    }[step]
    with mock.patch.object(target, name, side_effect=Crash), pytest.raises(Crash):
        yard.engine.remove("web", force=True, volumes=True)
    later = yard.another()
    assert [(each.id, each.status) for each in later.list()] == [(made.id, "removing")]
    later.reconcile()
    assert later.list() == []
    assert yard.folders == []
    assert yard.network.connected == {}
    assert yard.volumes.names == {"kept"}


def test_g09_a_change_that_goes_on_is_left_alone(yard: Yard) -> None:
    """Another process is in the middle of it: it holds the lock."""
    seen: list[list[str]] = []
    prepare = create.mounts.prepare

    def look(*words: object) -> None:
        yard.another().reconcile()
        seen.append(yard.folders)
        prepare(*words)  # type: ignore[arg-type]

    with mock.patch.object(create.mounts, "prepare", look):
        made = yard.engine.create(config(yard))
    assert seen == [[made.id]]
    assert yard.engine.find(made.id).status == "created"


def test_g07_a_restarted_daemon_finds_every_container_as_it_is(yard: Yard) -> None:
    running = yard.engine.create(config(yard))
    ended = yard.engine.create(config(yard))
    lost = yard.engine.create(config(yard))
    for each in (running, ended, lost):
        yard.engine.start(each.id)
    launches = {launch.id: launch for launch in yard.runtime.launched}
    yard.runtime.end(launches[ended.id], 7)
    yard.runtime.states.pop(launches[lost.id].run_dir)
    for _ in range(2):  # a second recovery is harmless
        later = yard.another()
        later.reconcile()
        found = {each.id: (each.status, each.exit_code) for each in later.list()}
        assert found == {
            running.id: ("running", 0), ended.id: ("exited", 7), lost.id: ("exited", 137),
        }  # fmt: skip


def test_a_folder_that_no_row_names_goes(yard: Yard) -> None:
    stray = yard.folder / "data/containers" / ("a" * 64)
    (stray / "upper").mkdir(parents=True)
    (yard.folder / "data/containers/somebodys").mkdir()
    yard.engine.reconcile()
    assert yard.folders == ["somebodys"]


def test_one_that_vanishes_with_its_end_is_collected_by_its_owner_only(yard: Yard) -> None:
    for owner in ("cli", "cri"):
        made = yard.engine.create(config(yard, auto_remove=True), owner=owner)
        yard.engine.start(made.id)
        yard.runtime.end(yard.runtime.launched[-1], 0)
    waiting = yard.engine.create(config(yard, auto_remove=True))
    yard.engine.tidy("cli")
    assert {(each.owner, each.status) for each in yard.engine.list()} == {
        ("cri", "exited"), ("cli", "created"),
    }  # fmt: skip
    assert yard.engine.find(waiting.id)


def test_g09_making_and_starting_in_one_leave_nothing_between(
    yard: Yard, no_clean_up: None
) -> None:
    with mock.patch.object(start, "begin", side_effect=Crash), pytest.raises(Crash):
        yard.engine.run(config(yard, auto_remove=True), name="web")
    later = yard.another()
    with mock.patch.object(remove, "erase", _erase):
        later.tidy("cli")
    assert later.list() == []
    assert yard.folders == []
    assert yard.volumes.names <= {"kept"}


def test_a_run_that_fails_keeps_the_container_unless_it_was_to_vanish(yard: Yard) -> None:
    yard.runtime.fail["start"] = StartFailed("no such program", 127)
    for auto_remove, kept in ((True, 0), (False, 1)):
        with pytest.raises(StartFailed):
            yard.engine.run(config(yard, auto_remove=auto_remove))
        assert len(yard.engine.list()) == len(yard.folders) == kept
    [found] = yard.engine.list()
    assert (found.status, found.exit_code) == ("created", 127)


def test_a_run_tells_the_monitor_what_to_do_at_the_end(yard: Yard) -> None:
    made, stream = yard.engine.run(config(yard)._replace(auto_remove=True))
    assert stream is None
    assert yard.runtime.launched[-1].on_exit == ("aftermath", "ended", made.id)
    assert yard.engine.find(made.id).status == "running"
