"""Version 2 alone: every field of ``linux.resources`` has its effect, or is refused by name."""

import os

from inside.boxes import (
    GROUPS,
    MEGABYTE,
    box,
    limits,
    loop_device,
    prepare_v2,
    python,
    raises,
    sh,
    until,
)  # fmt: skip

from dockyard.base.errors import Conflict
from dockyard.base.linux import cgroupfs, cgroupstats

EAT = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"
HUGE = "import mmap; mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)"


def prepare() -> None:
    prepare_v2()


def test_the_layout_is_found() -> None:
    found = cgroupfs.layout()
    assert found.pure
    assert found.v2 == "/sys/fs/cgroup"
    assert {"cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"} <= found.unified


# memory


def test_memory_limit_kills() -> None:
    change = limits(memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})
    with sh(EAT, change=change) as found:
        ended = found.start().wait()
        assert ended.oom_killed
        assert ended.code != 0


def test_memory_files() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 96 * MEGABYTE, "reservation": 16 * MEGABYTE,
              "useHierarchy": True, "disableOOMKiller": False}  # fmt: skip
    with box("sleep", "600", change=limits(memory=memory)) as found:
        found.start()
        assert found.file("memory.max") == str(64 * MEGABYTE)
        assert found.file("memory.swap.max") == str(32 * MEGABYTE)
        assert found.file("memory.low") == str(16 * MEGABYTE)
        found.update(memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})
        assert found.file("memory.max") == str(32 * MEGABYTE)
        assert found.file("memory.swap.max") == "0"
        found.update(memory={"limit": -1, "swap": -1})
        assert found.file("memory.max") == "max"
        assert found.file("memory.swap.max") == "max"


def test_a_limit_below_what_is_used_is_refused() -> None:
    text = "x=$(head -c 16m /dev/zero | tr '\\0' x); sleep 600; :"
    with sh(text, change=limits(memory={"limit": 128 * MEGABYTE})) as found:
        found.start()
        until(lambda: int(found.file("memory.current")) > 16 * MEGABYTE)
        with raises(Conflict, "used already"):
            found.update(memory={"limit": 4 * MEGABYTE, "checkBeforeUpdate": True})
        assert found.file("memory.max") == str(128 * MEGABYTE)
        assert found.status() == "running"


def test_memory_that_version_2_has_not() -> None:
    for field in ({"kernel": 1}, {"kernelTCP": 1}, {"swappiness": 5}, {"disableOOMKiller": True},
                  {"useHierarchy": False}):  # fmt: skip
        with sh("true", change=limits(memory=field)) as found:
            assert f"memory.{next(iter(field))}" in found.refusal()


# processors


def test_cpu_files() -> None:
    cpu = {"shares": 512, "quota": 20000, "period": 50000, "burst": 5000, "cpus": "0", "mems": "0"}
    with box("sleep", "600", change=limits(cpu=cpu)) as found:
        found.start()
        assert found.file("cpu.weight") == "20"  # KEP-2254: 1 + 510 * 9999 / 262142
        assert found.file("cpu.max") == "20000 50000"
        assert found.file("cpu.max.burst") == "5000"
        assert found.file("cpuset.cpus") == "0"
        assert found.file("cpuset.mems") == "0"
        assert found.exec("nproc").out == "1\n"
        found.update(cpu={"period": 100000})
        assert found.file("cpu.max") == "20000 100000"
        found.update(cpu={"quota": -1})
        assert found.file("cpu.max") == "max 100000"
        found.update(cpu={"burst": 0, "idle": 1})
        assert found.file("cpu.idle") == "1"
        found.update(cpu={"idle": 0, "shares": 262144, "cpus": "0-1"})
        assert found.file("cpu.weight") == "10000"


def test_a_quota_slows() -> None:
    with sh("while :; do :; done", change=limits(cpu={"quota": 5000, "period": 50000})) as found:
        found.start()
        file = f"{GROUPS}/{found.cgroup}/cpu.stat"
        until(lambda: cgroupfs.flat(file)["nr_throttled"] > 2)


def test_real_time_is_version_1s() -> None:
    for field in ("realtimeRuntime", "realtimePeriod"):
        with sh("true", change=limits(cpu={field: 1000})) as found:
            assert f"cpu.{field}" in found.refusal()


# processes, block devices, huge pages, devices of other kinds


def test_pids() -> None:
    text = "for i in $(seq 40); do sleep 1 & done; wait"
    with sh(text, change=limits(pids={"limit": 8})) as found:
        assert "can't fork" in found.run().err


def test_g11_a_fork_bomb_hits_its_own_limit() -> None:
    change = limits(pids={"limit": 32}, cpu={"quota": 20000, "period": 100000})
    with sh("f() { f | f & }; f; sleep 600", change=change) as found:
        found.start()
        until(lambda: cgroupfs.flat(f"{GROUPS}/{found.cgroup}/pids.events")["max"] > 0)
        with sh("echo alive") as other:
            assert other.run().out == "alive\n"


def test_throttles() -> None:
    major, minor = loop_device()
    device = {"major": major, "minor": minor}
    block = {
        "throttleReadBpsDevice": [{**device, "rate": 1 << 20}],
        "throttleWriteBpsDevice": [{**device, "rate": 2 << 20}],
        "throttleReadIOPSDevice": [{**device, "rate": 100}],
        "throttleWriteIOPSDevice": [{**device, "rate": 200}],
    }
    with box("sleep", "600", change=limits(blockIO=block)) as found:
        found.start()
        said = cgroupfs.parse_nested(found.file("io.max"))
        assert said == {f"{major}:{minor}": {"rbps": "1048576", "wbps": "2097152", "riops": "100",
                                             "wiops": "200"}}  # fmt: skip
        found.update(blockIO={"throttleReadBpsDevice": [{**device, "rate": 0}]})
        assert cgroupfs.parse_nested(found.file("io.max"))[f"{major}:{minor}"]["rbps"] == "max"


def test_a_throttle_slows() -> None:
    """2 MB at 1 MB/s wait: the device's counter says what went through meanwhile."""
    major, minor = loop_device()
    rule = {"allow": True, "type": "b", "major": major, "minor": minor, "access": "rwm"}
    rate = [{"major": major, "minor": minor, "rate": 1 << 18}]
    text = f"mknod /dev/disk b {major} {minor}; dd if=/dev/disk of=/dev/null bs=64k iflag=direct"
    change = limits(blockIO={"throttleReadBpsDevice": rate}, devices=[rule])
    with sh(text, change=change) as found:
        found.start()
        until(lambda: cgroupstats.block(found.cgroup).sum("Read") > 0)
        assert found.status() == "running"
        found.update(blockIO={"throttleReadBpsDevice": [{**rate[0], "rate": 0}]})
        assert found.wait().code == 0


def test_weights() -> None:
    """io.cost has them in this kernel; BFQ's are those of version 1."""
    with box("sleep", "600", change=limits(blockIO={"weight": 500})) as found:
        found.start()
        assert found.file("io.weight") == "default 4950"
    assert os.system("insmod /opt/modules/bfq.ko") == 0
    with box("sleep", "600", change=limits(blockIO={"weight": 500})) as found:
        found.start()
        assert found.file("io.bfq.weight") == "default 500"
    with sh("true", change=limits(blockIO={"leafWeight": 500})) as found:
        assert "blockIO.leafWeight" in found.refusal()


def test_huge_pages() -> None:
    sizes = [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]
    with python(HUGE.format(size=4 * MEGABYTE), change=limits(hugepageLimits=sizes)) as found:
        assert found.run().code == 0
    with python(HUGE.format(size=8 * MEGABYTE), change=limits(hugepageLimits=sizes)) as found:
        assert "Cannot allocate memory" in found.run().err
    with box("sleep", "600", change=limits(hugepageLimits=sizes)) as found:
        found.start()
        assert found.file("hugetlb.2MB.max") == str(4 * MEGABYTE)
        assert found.file("hugetlb.2MB.rsvd.max") == str(4 * MEGABYTE)
    other = [{"pageSize": "3MB", "limit": 1}]
    with sh("true", change=limits(hugepageLimits=other)) as found:
        assert "3MB" in found.refusal()


def test_rdma_of_a_device_that_is_not_there() -> None:
    with sh("true", change=limits(rdma={"mlx5_9": {"hcaHandles": 3}})) as found:
        assert "rdma.max" in found.refusal()


def test_network_classes_are_version_1s() -> None:
    for field in ({"classID": 7}, {"priorities": [{"name": "lo", "priority": 3}]}):
        with sh("true", change=limits(network=field)) as found:
            assert f"network.{next(iter(field))}" in found.refusal()


def test_unified() -> None:
    files = {"memory.high": str(48 * MEGABYTE), "cpu.weight": "77", "cgroup.max.depth": "5"}
    with box("sleep", "600", change=limits(unified=files)) as found:
        found.start()
        for file, value in files.items():
            assert found.file(file) == value
        found.update(unified={"memory.high": "max"})
        assert found.file("memory.high") == "max"
    for file, said in (("memory.nothing", "no such limit"), ("misc.max", "controller misc"),
                       ("no.such", "controller no"), ("cgroup.procs", "runtime"),
                       ("../memory.max", "unified"), ("memory.max\n", "unified")):  # fmt: skip
        with sh("true", change=limits(unified={file: "1"})) as found:
            assert said in found.refusal(), file
