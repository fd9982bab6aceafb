"""A hybrid layout with controllers in both versions: some mounted as version 1, the rest in 2."""

import os
from pathlib import Path

from inside.boxes import GROUPS, MEGABYTE, box, limits, prepare_root, sh, until

from dockyard.base.linux import cgroupfs, cgroupstats
from dockyard.node.runtime.cgroups import group

FIRST = ("cpu,cpuacct", "freezer", "pids")


def prepare() -> None:
    assert os.system("mount -t tmpfs tmpfs /sys/fs/cgroup") == 0
    for names in FIRST:
        (GROUPS / names).mkdir()
        assert os.system(f"mount -t cgroup -o {names} cgroup /sys/fs/cgroup/{names}") == 0, names
    (GROUPS / "unified").mkdir()
    assert os.system("mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified") == 0
    prepare_root()


def test_the_layout_is_found() -> None:
    found = cgroupfs.layout()
    assert not found.pure
    assert set(found.v1) == {"cpu", "cpuacct", "freezer", "pids"}
    assert {"memory", "io", "cpuset"} <= found.unified
    assert not {"cpu", "pids"} & found.unified


def test_each_limit_is_where_its_controller_is() -> None:
    parts = {"memory": {"limit": 64 * MEGABYTE}, "pids": {"limit": 9}, "cpu": {"shares": 77}}
    with box("sleep", "600", change=limits(**parts)) as found:
        found.start()
        assert (GROUPS / "unified" / found.cgroup / "memory.max").read_text() == (
            f"{64 * MEGABYTE}\n"
        )
        assert (GROUPS / "pids" / found.cgroup / "pids.max").read_text() == "9\n"
        assert (GROUPS / "cpu,cpuacct" / found.cgroup / "cpu.shares").read_text() == "77\n"
        found.update(memory={"limit": 32 * MEGABYTE}, pids={"limit": 5})
        assert cgroupstats.memory(found.cgroup).usage.limit == 32 * MEGABYTE
        assert cgroupstats.pids(found.cgroup).limit == 5
        assert f"0::/{found.cgroup}\n" in Path(f"/proc/{found.pid}/cgroup").read_text()
    assert not (GROUPS / "unified" / found.cgroup).exists()


def test_memory_limit_kills() -> None:
    change = limits(memory={"limit": 32 * MEGABYTE})
    with sh("x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x", change=change) as found:
        assert found.start().wait().oom_killed


def test_a17_without_version_1s_devices_the_filter_is_version_2s() -> None:
    with sh("mknod /dev/mem2 c 1 1; cat /dev/mem2; cat /dev/null && echo fine") as found:
        said = found.run()
        assert "can't open '/dev/mem2': Operation not permitted" in said.err
        assert said.out == "fine\n"


def test_pause_and_end() -> None:
    with sh("while :; do :; done") as found:
        found.start()
        found.runtime.pause(found.cgroup)
        usage = cgroupstats.cpu(found.cgroup).total
        assert cgroupstats.cpu(found.cgroup).total == usage
        found.runtime.resume(found.cgroup)
        until(lambda: cgroupstats.cpu(found.cgroup).total > usage)
        assert group.pids(found.cgroup) == [found.pid]


def test_a09_version_2s_part_is_not_writable() -> None:
    def change(spec: dict) -> None:
        for mount in spec["mounts"]:
            if mount["type"] == "cgroup":
                mount.update(type="cgroup2", options=["rw"])

    with sh("mkdir /sys/fs/cgroup/x", privileged=True, change=change) as found:
        assert "Read-only file system" in found.run().err
