"""What the CRI asks of the engine: a paused sandbox that others join, logs in their own place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.base.errors import Conflict
from dockyard.node.engine.config import Container, ContainerConfig, LogSpec

from .conftest import Yard, collect

pytestmark = pytest.mark.root


def sandbox(yard: Yard) -> Container:
    config = ContainerConfig(rootfs="/", hostname="pod", network="none", pause=True, own_etc=False)
    made = yard.engine.create(config, owner="cri")
    yard.engine.start(made.id)
    return yard.engine.find(made.id)


def member(yard: Yard, of: Container, text: str, **more: object) -> ContainerConfig:
    join = tuple((kind, of.id) for kind in ("network", "ipc", "uts"))
    return yard.config("sh", "-c", text, join=join, own_etc=False, **more)


def namespaces(pid: int) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/ns").iterdir()}


def test_containers_share_what_the_sandbox_has(yard: Yard) -> None:
    pod = sandbox(yard)
    made = yard.engine.create(member(yard, pod, "hostname; exec sleep 100"), owner="cri")
    yard.engine.start(made.id)
    inside = yard.engine.find(made.id)
    one, other = namespaces(pod.pid), namespaces(inside.pid)
    assert {kind for kind in one if one[kind] == other[kind]} >= {"net", "ipc", "uts"}
    assert {kind for kind in one if one[kind] != other[kind]} >= {"pid", "mnt", "cgroup"}
    # what it printed is on its way: following ends with the first entry
    assert next(iter(yard.engine.logs(made.id, follow=True))).text == "pod\n"
    assert {each.owner for each in yard.engine.list()} == {"cri"}
    yard.engine.tidy("cli")  # a command leaves another owner's containers alone
    assert len(yard.engine.list()) == 2


def test_nobody_joins_a_sandbox_that_has_ended(yard: Yard) -> None:
    pod = sandbox(yard)
    made = yard.engine.create(member(yard, pod, "true"), owner="cri")
    yard.engine.stop(pod.id, 0)
    with pytest.raises(Conflict, match="non running container"):
        yard.engine.start(made.id)
    assert yard.engine.find(made.id).status == "created"


def test_a_log_in_the_cris_form_and_place(yard: Yard, tmp_path: Path) -> None:
    pod = sandbox(yard)
    path = tmp_path / "pods/0.log"
    path.parent.mkdir()
    config = member(yard, pod, "echo out; echo bad >&2", log=LogSpec("cri", str(path)))
    made = yard.engine.create(config, owner="cri")
    assert collect(yard.engine.start(made.id, attach=True))[0] == 0
    lines = [line.split(" ", 3)[1:] for line in path.read_text().splitlines()]
    assert sorted(lines) == [["stderr", "F", "bad"], ["stdout", "F", "out"]]
    yard.engine.remove(made.id)
    assert path.exists(), "the log is its owner's, not the container's"
