"""Version 1 whole, as older systems mount it: some controllers share a hierarchy.

``tests/integration/runtime/test_cgroups.py`` has what any machine with version 1 shows.
"""

import os
from pathlib import Path

from inside.boxes import (
    GROUPS,
    MEGABYTE,
    Box,
    box,
    limits,
    loop_device,
    prepare_root,
    python,
    sh,
    until,
)  # fmt: skip

from dockyard.base.linux import cgroupfs, cgroupstats
from dockyard.node.runtime.cgroups import group

SHARED = ("cpu,cpuacct", "net_cls,net_prio")
ALONE = ("blkio", "cpuset", "devices", "freezer", "hugetlb", "memory", "pids", "rdma")
HUGE = "import mmap; mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)"


def prepare() -> None:
    assert (
        os.system("mount -t tmpfs tmpfs /sys/fs/cgroup && insmod /opt/modules/cls_cgroup.ko") == 0
    )
    for names in (*SHARED, *ALONE):
        (GROUPS / names).mkdir()
        assert os.system(f"mount -t cgroup -o {names} cgroup /sys/fs/cgroup/{names}") == 0, names
    (GROUPS / "systemd").mkdir()
    named = "mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
    assert os.system(named) == 0
    Path("/proc/sys/vm/nr_hugepages").write_text("16")
    prepare_root()


def value(found: Box, file: str) -> str:
    return Path(cgroupfs.folder(file.split(".")[0], found.cgroup), file).read_text().strip()


def test_the_layout_is_found() -> None:
    found = cgroupfs.layout()
    assert found.v2 == ""
    assert found.v1["cpu"] == found.v1["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert set(",".join((*SHARED, *ALONE)).split(",")) < set(found.v1)
    assert len(found.roots) == len(SHARED) + len(ALONE) + 1


def test_every_hierarchy_has_the_container_and_then_none() -> None:
    with box("sleep", "600") as found:
        found.start()
        lines = Path(f"/proc/{found.pid}/cgroup").read_text().splitlines()
        assert {
            line.split(":")[2] for line in lines if ":0::" not in line and line[:2] != "0:"
        } == {f"/{found.cgroup}"}
        places = [Path(place) for place in cgroupfs.folders(found.cgroup)]
        assert all(place.is_dir() for place in places)
    assert not any(place.exists() for place in places)


def test_huge_pages() -> None:
    sizes = [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]
    with python(HUGE.format(size=4 * MEGABYTE), change=limits(hugepageLimits=sizes)) as found:
        assert found.run().code == 0
    with python(HUGE.format(size=8 * MEGABYTE), change=limits(hugepageLimits=sizes)) as found:
        assert "Cannot allocate memory" in found.run().err
    with box("sleep", "600", change=limits(hugepageLimits=sizes)) as found:
        found.start()
        assert value(found, "hugetlb.2MB.limit_in_bytes") == str(4 * MEGABYTE)
        assert value(found, "hugetlb.2MB.rsvd.limit_in_bytes") == str(4 * MEGABYTE)
        assert cgroupstats.hugetlb(found.cgroup)["2MB"].limit == 4 * MEGABYTE


def test_network_classes() -> None:
    network = {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 7}]}
    with box("sleep", "600", change=limits(network=network)) as found:
        found.start()
        assert value(found, "net_cls.classid") == str(0x100001)
        assert "lo 7" in value(found, "net_prio.ifpriomap").splitlines()
    wrong = {"priorities": [{"name": "nosuch0", "priority": 7}]}
    with sh("true", change=limits(network=wrong)) as found:
        assert "net_prio.ifpriomap" in found.refusal()


def test_rdma_of_a_device_that_is_not_there() -> None:
    with sh("true", change=limits(rdma={"mlx5_9": {"hcaHandles": 3}})) as found:
        assert "rdma.max" in found.refusal()


def test_weights_are_bfqs() -> None:
    with sh("true", change=limits(blockIO={"weight": 300})) as found:
        assert "blockIO.weight" in found.refusal()
    assert os.system("insmod /opt/modules/bfq.ko") == 0
    major, minor = loop_device()
    Path("/sys/block/loop0/queue/scheduler").write_text("bfq")
    device = {"major": major, "minor": minor, "weight": 700}
    block = {"weight": 300, "weightDevice": [device]}
    with box("sleep", "600", change=limits(blockIO=block)) as found:
        found.start()
        assert value(found, "blkio.bfq.weight") == "300"
        assert f"{major}:{minor} 700" in value(found, "blkio.bfq.weight_device")


def test_throttles() -> None:
    major, minor = loop_device()
    rate = [{"major": major, "minor": minor, "rate": 12345}]
    with box("sleep", "600", change=limits(blockIO={"throttleReadBpsDevice": rate})) as found:
        found.start()
        assert value(found, "blkio.throttle.read_bps_device") == f"{major}:{minor} 12345"


def test_unified_is_version_2s() -> None:
    with sh("true", change=limits(unified={"memory.high": "1"})) as found:
        assert "linux.resources.unified" in found.refusal()


def test_memory_limit_kills() -> None:
    change = limits(memory={"limit": 32 * MEGABYTE})
    with sh("x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x", change=change) as found:
        assert found.start().wait().oom_killed


def test_a09_controllers_that_share_a_hierarchy_have_links() -> None:
    text = """cd /sys/fs/cgroup; readlink cpu; readlink cpuacct; readlink net_prio
        ls cpu/cpu.shares; mkdir memory/x"""
    with sh(text) as found:
        said = found.run()
        assert said.out == "cpu,cpuacct\ncpu,cpuacct\nnet_cls,net_prio\ncpu/cpu.shares\n", said
        assert "Read-only file system" in said.err


def test_a09_without_a_namespace_it_sees_its_own_and_writes_nothing() -> None:
    def change(spec: dict) -> None:
        spec["linux"]["resources"]["pids"] = {"limit": 33}
        kinds = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [kind for kind in kinds if kind["type"] != "cgroup"]
        for mount in spec["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"] = ["rw"]

    text = "cd /sys/fs/cgroup/pids; mkdir x; echo 1 > pids.max; cat pids.max; ls -d release_agent"
    with sh(text, privileged=True, change=change) as found:
        said = found.run()
        assert said.out == "33\n", said
        assert said.err.count("Read-only file system") == 2


def test_pause_and_resume() -> None:
    with sh("while :; do :; done") as found:
        found.start()
        found.runtime.pause(found.cgroup)
        assert value(found, "freezer.state") == "FROZEN"
        found.runtime.resume(found.cgroup)
        usage = cgroupstats.cpu(found.cgroup).total
        until(lambda: cgroupstats.cpu(found.cgroup).total > usage)
        assert found.pid in group.pids(found.cgroup)
