"""Which init a root has, what it expects, and what makes it shut down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.base.errors import NotFound
from dockyard.base.linux.cgroupfs import parse_mounts
from dockyard.node.engine.config import ContainerConfig, MountSpec
from dockyard.node.engine.system import boot, find_init, groups, kind_of


def put(layer: Path, path: str, data: bytes = b"\x7fELF") -> None:
    file = layer / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def link(layer: Path, path: str, target: str) -> None:
    file = layer / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(target)


def test_systemd_as_debian_has_it(tmp_path: Path) -> None:
    put(tmp_path, "/usr/lib/systemd/systemd")
    link(tmp_path, "/lib", "usr/lib")
    link(tmp_path, "/sbin", "usr/sbin")
    link(tmp_path, "/usr/sbin/init", "/lib/systemd/systemd")
    assert find_init([str(tmp_path)]) == "/sbin/init"
    found = boot(ContainerConfig(system=True), [str(tmp_path)])
    assert (found.command, found.stop_signal, found.terminal) == (
        ("/sbin/init",), "SIGRTMIN+3", True
    )  # fmt: skip
    assert "container=dockyard" in found.env
    assert [mount.target for mount in found.mounts] == ["/run", "/run/lock", "/tmp"]


@pytest.mark.parametrize(
    ("target", "data", "signal"),
    [
        ("/bin/busybox", b"\x7fELF BusyBox v1.35", "SIGUSR2"),
        ("../bin/box", b"\x7fELF BusyBox v1.35", "SIGUSR2"),
        ("/lib/sysvinit/init", b"\x7fELF", "SIGPWR"),
        ("/usr/bin/s6-svscan", b"\x7fELF", "SIGTERM"),
    ],
)
def test_others(tmp_path: Path, target: str, data: bytes, signal: str) -> None:
    link(tmp_path, "/sbin/init", target)
    put(tmp_path, os.path.normpath(Path("/sbin", target)), data)
    assert boot(ContainerConfig(), [str(tmp_path)]).stop_signal == signal


def test_a_link_from_one_layer_into_another(tmp_path: Path) -> None:
    put(tmp_path / "low", "/bin/busybox", b"BusyBox v1")
    link(tmp_path / "top", "/sbin/init", "/bin/busybox")
    layers = [str(tmp_path / "top"), str(tmp_path / "low")]
    assert find_init(layers) == "/sbin/init"
    assert kind_of(layers, "/sbin/init") == "busybox"


def test_nothing_leads_out_of_the_root_or_round_in_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    link(root, "/sbin/init", "../../../../../../../bin/true")
    link(root, "/init", "/init")
    os.mkfifo(root / "sbin/pipe")
    with pytest.raises(NotFound, match="the root has no init"):
        find_init([str(root)])


def test_what_the_caller_says_wins(tmp_path: Path) -> None:
    config = ContainerConfig(
        entrypoint=("/bin/own",), command=("boot",), env=("container=x",), stop_signal="SIGINT",
        mounts=(MountSpec("bind", "/srv", "/run/"),),
    )  # fmt: skip
    found = boot(config, [str(tmp_path)])
    assert found.command == ("/bin/own", "boot")
    assert found.entrypoint == ()
    assert found.stop_signal == "SIGINT"
    assert found.env == ("container=x",)
    assert [mount.target for mount in found.mounts] == ["/run/", "/run/lock", "/tmp"]


V1 = (
    "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 25 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)
BESIDE = "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
ALONE = "32 25 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("table", "bound", "writable"),
    [
        (V1, [("/sys/fs/cgroup/systemd/d/c", "/sys/fs/cgroup/systemd")], False),
        (V1 + BESIDE, [("/sys/fs/cgroup/unified/d/c", "/sys/fs/cgroup")], False),
        (ALONE, [], True),
        (V1.splitlines(keepends=True)[0], [], False),
    ],
    ids=["v1", "hybrid", "v2", "v1 without a hierarchy for it"],
)
def test_which_part_of_the_cgroup_tree_is_its_own(
    table: str, bound: list[tuple[str, str]], writable: bool
) -> None:
    found = groups("d/c", parse_mounts(table))
    assert [(source, target) for source, target, _ in found.binds] == bound
    assert found.writable == writable
    # the group that is bound must be made
    assert bool(found.resources) == (table == V1 + BESIDE)
