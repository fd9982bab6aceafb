"""A container's life as the engine tells it, on rooms that are kept in memory."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from dockyard.base import sqlite
from dockyard.base.errors import Conflict, Corrupt, Invalid, NotFound, Unsupported
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import Platform
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine.config import (
    Container,
    ContainerConfig,
    LogSpec,
    MountSpec,
    PortSpec,
    Resources,
)
from dockyard.node.engine.record import decode, encode
from helpers.fakes import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def config(yard: Yard, **more: object) -> ContainerConfig:
    return ContainerConfig(rootfs=yard.root, command=("true",))._replace(**more)  # type: ignore[arg-type]


def test_from_its_making_to_its_end(yard: Yard) -> None:
    made = yard.engine.create(config(yard), name="web")
    assert (made.status, len(made.id), made.owner) == ("created", 64, "cli")
    yard.engine.start("web")
    running = yard.engine.find("web")
    assert (running.status, running.pid, running.address) == ("running", 4242, "10.9.0.2")
    yard.runtime.end(yard.runtime.launched[-1], 3)
    ended = yard.engine.find(made.id[:6])
    assert (ended.status, ended.exit_code, ended.address, ended.finished) == ("exited", 3, "", 5.0)
    assert yard.network.connected == {}
    yard.engine.remove("web")
    assert yard.folders == []
    with pytest.raises(NotFound, match="No such container: web"):
        yard.engine.find("web")


def test_it_runs_again(yard: Yard) -> None:
    made = yard.engine.create(config(yard))
    for code in (1, 2):
        yard.engine.start(made.id)
        yard.runtime.end(yard.runtime.launched[-1], code)
        assert yard.engine.find(made.id).exit_code == code


def test_two_do_not_share_a_name(yard: Yard) -> None:
    first = yard.engine.create(config(yard), name="web")
    with pytest.raises(Conflict, match=f'"/web" is already in use by container "{first.id}"'):
        yard.engine.create(config(yard), name="web")
    assert len(yard.folders) == 1
    other = yard.engine.create(config(yard), name="db")
    with pytest.raises(Conflict, match="already in use"):
        yard.engine.rename("db", "web")
    yard.engine.rename("db", "db2")
    assert yard.engine.find("db2").id == other.id


def test_random_names_avoid_each_other(yard: Yard) -> None:
    """Each further engine draws the same numbers, and so the same names first."""
    names = {yard.another().create(config(yard)).name for _ in range(5)}
    assert len(names) == 5


@pytest.mark.parametrize("name", ["-x", "a/b", "a b", "é", "x\n", "a" + ":"])
def test_names_have_a_grammar(yard: Yard, name: str) -> None:
    with pytest.raises(Invalid, match="Invalid container name"):
        yard.engine.create(config(yard), name=name)


def test_a_reference_that_fits_two_is_refused(yard: Yard) -> None:
    for _ in range(17):  # two of them begin with the same digit
        yard.engine.create(config(yard))
    first: dict[str, int] = {}
    for each in yard.engine.list():
        first[each.id[0]] = first.get(each.id[0], 0) + 1
    digit = next(key for key, count in first.items() if count > 1)
    with pytest.raises(Conflict, match="Multiple IDs"):
        yard.engine.find(digit)


def test_a_start_that_fails_leaves_a_container_that_says_why(yard: Yard) -> None:
    made = yard.engine.create(config(yard))
    yard.runtime.fail["start"] = StartFailed('exec: "nope": executable file not found', 127)
    with pytest.raises(StartFailed):
        yard.engine.start(made.id)
    found = yard.engine.find(made.id)
    assert (found.status, found.exit_code) == ("created", 127)
    assert "nope" in found.error
    assert yard.network.connected == {}
    yard.runtime.fail.clear()
    yard.engine.start(made.id)
    assert yard.engine.find(made.id).error == ""


def test_a_dead_monitor_is_noticed(yard: Yard) -> None:
    made = yard.engine.create(config(yard))
    yard.engine.start(made.id)
    yard.runtime.states.clear()  # nobody wrote how it ended
    [found] = yard.engine.list()
    assert (found.status, found.exit_code) == ("exited", 137)
    assert yard.network.connected == {}


def test_a_paused_container_is_alive(yard: Yard) -> None:
    made = yard.engine.create(config(yard))
    with pytest.raises(Conflict, match="is not running"):
        yard.engine.pause(made.id)
    yard.engine.start(made.id)
    yard.engine.pause(made.id)
    assert yard.engine.find(made.id).status == "paused"
    with pytest.raises(Conflict, match="already paused"):
        yard.engine.pause(made.id)
    with pytest.raises(Conflict, match="container is paused"):
        yard.engine.remove(made.id)
    yard.engine.unpause(made.id)
    assert yard.engine.find(made.id).status == "running"


def test_one_that_runs_is_removed_by_force_only(yard: Yard) -> None:
    made = yard.engine.create(config(yard))
    yard.engine.start(made.id)
    with pytest.raises(Conflict, match="stop the container before removing or force remove"):
        yard.engine.remove(made.id)
    yard.engine.remove(made.id, force=True)
    assert yard.engine.list() == []


def test_only_volumes_that_nobody_named_go_with_it(yard: Yard) -> None:
    mounts = (MountSpec("volume", "data", "/data"), MountSpec("volume", "", "/anonymous"))
    for volumes in (False, True):
        made = yard.engine.create(config(yard, mounts=mounts))
        assert len(made.own_volumes) == 1
        yard.engine.remove(made.id, volumes=volumes)
    assert yard.volumes.names == {"data", next(iter(yard.volumes.names - {"data"}))}
    assert len(yard.volumes.names) == 2


@pytest.mark.parametrize("target", ["data", "/", "", "/a/../.."])
def test_a_mount_goes_below_the_root(yard: Yard, target: str) -> None:
    with pytest.raises(Invalid, match="destination"):
        yard.engine.create(config(yard, mounts=(MountSpec("volume", "v", target),)))
    assert yard.folders == []
    assert yard.engine.list() == []


def test_a_network_may_be_another_containers(yard: Yard) -> None:
    first = yard.engine.create(config(yard), name="first")
    second = yard.engine.create(config(yard, network="container:first"))
    assert second.config.network == f"container:{first.id}"
    with pytest.raises(Conflict, match="non running container"):
        yard.engine.start(second.id)
    yard.engine.start("first")
    yard.engine.start(second.id)
    namespaces = yard.runtime.launched[-1].spec["linux"]["namespaces"]
    assert {"type": "network", "path": "/proc/4242/ns/net"} in namespaces
    with pytest.raises(Conflict, match="conflicting options"):
        yard.engine.create(config(yard, network="container:first", hostname="x"))
    with pytest.raises(NotFound):
        yard.engine.create(config(yard, network="container:nobody"))


class OneImage:
    """A store with one image, whose name moves to another while a container has it."""

    def __init__(self, system: str, layer: str) -> None:
        self.current = "sha256:" + "1" * 64
        self._config = ImageConfig(Platform(system, "amd64"), cmd=("serve",))
        self._layer = layer
        self.leases: list[str] = []

    def resolve(self, reference: str) -> SimpleNamespace:
        found = reference if reference.startswith("sha256:") else self.current
        return SimpleNamespace(id=found, config=self._config)

    def mount_layers(self, image: SimpleNamespace) -> list[str]:
        return [f"{self._layer}/{image.id[-1]}"]

    def lease(self, image: SimpleNamespace, holder: str, *, lasting: bool) -> None:
        self.leases.append(holder)

    def release(self, holder: str) -> None:
        self.leases = [each for each in self.leases if each != holder]


def test_an_image_for_windows_never_starts(yard: Yard) -> None:
    images = OneImage("windows", str(yard.folder))
    with pytest.raises(Unsupported, match="is for windows"):
        yard.another(images).create(ContainerConfig(image="x"))
    assert (yard.engine.list(), yard.folders, images.leases) == ([], [], [])


def test_a_container_keeps_its_image_when_the_name_moves(yard: Yard) -> None:
    for number in "12":
        (yard.folder / number).mkdir()
    images = OneImage("linux", str(yard.folder))
    engine = yard.another(images)
    made = engine.create(ContainerConfig(image="x"))
    images.current = "sha256:" + "2" * 64
    engine.start(made.id)
    root = yard.runtime.launched[-1].rootfs
    assert root is not None
    assert root.lower == (str(yard.folder / "1"),)
    assert images.leases == [made.id]
    engine.remove(made.id, force=True)
    assert images.leases == []


def test_a_row_is_read_as_it_was_written() -> None:
    full = Container(
        "a" * 64, "web", "cri", 1.5, "running",
        ContainerConfig(
            image="x", entrypoint=(), command=("a", "b"), env=("A=1",), size=(24, 80),
            labels=(("a", "b"),), mounts=(MountSpec("bind", "/a", "/b", True, ("rslave",)),),
            ports=(PortSpec(80, "tcp", "0.0.0.0", 0),), resources=Resources(memory=1),
            log=LogSpec("cri", "/log"), join=(("ipc", "host"),), sysctls=(("a", "b"),),
            groups=(1, 2), oom_score_adj=-5,
        ),
        ports=(PortSpec(80, "tcp", "0.0.0.0", 32768),), args=("a", "b"), own_volumes=("v",),
    )  # fmt: skip
    assert decode(encode(full)) == full


def test_a_row_of_another_version_is_read() -> None:
    row = json.loads(encode(Container("a", "b", "cli", 0.0, "created", ContainerConfig())))
    row["later"] = row["config"]["later"] = ["x"]
    del row["gateway"], row["config"]["shm_bytes"]
    assert decode(json.dumps(row)).config == ContainerConfig()


def test_nobody_else_reads_what_containers_are_made_from(yard: Yard) -> None:
    yard.engine.create(config(yard, env=("PASSWORD=x",)))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (yard.folder / "data").iterdir()}
    assert modes == {"node.db": 0o600, "node.db-wal": 0o600, "node.db-shm": 0o600,
                     "containers": 0o700, "storage.json": 0o600}  # fmt: skip


def test_g05_a_broken_database_is_an_error_that_says_so(yard: Yard) -> None:
    yard.engine.create(config(yard))
    for path in (yard.folder / "data").glob("node.db*"):
        path.write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupt, match=r"node\.db"):
        yard.another().list()


def test_g21_no_connection_is_open_when_the_runtime_may_fork(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*words: object, **more: object) -> sqlite3.Connection:
        opened.append(connect(*words, **more))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr(sqlite, "connect", remember)
    made = yard.engine.create(config(yard))
    create = yard.runtime.create

    def check(*words: object, **more: object) -> object:
        for connection in opened:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")
        return create(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(yard.runtime, "create", check)
    yard.engine.start(made.id)
    assert opened


def test_many_threads_ask_one_engine(yard: Yard) -> None:
    failed: list[BaseException] = []

    def live() -> None:
        try:
            for _ in range(5):
                made = yard.engine.create(config(yard))
                yard.engine.find(made.id)
                yard.engine.remove(made.id)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=live) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert yard.folders == []
