"""Version 2 alone: every field of ``linux.resources`` has its effect, or is refused by name."""

import os
import select
from pathlib import Path

from inside.boxes import (
    GROUPS,
    PARENT,
    Box,
    box,
    limits,
    loop_device,
    prepare_root,
    python,
    raises,
    sh,
    until,
)  # fmt: skip

from dockyard.base.errors import Conflict, Denied, Invalid, NotFound, Unsupported
from dockyard.base.linux import cgroupfs, cgroupstats
from dockyard.node.runtime.cgroups import group, oom

MEGABYTE = 1 << 20
EAT = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"
HUGE = "import mmap; mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)"


def prepare() -> None:
    assert os.system("mount -t cgroup2 cgroup2 /sys/fs/cgroup") == 0
    Path("/proc/sys/vm/nr_hugepages").write_text("16")
    prepare_root()


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


# devices: A17


def test_a17_what_is_not_listed_cannot_be_opened() -> None:
    with sh("mknod /dev/mem2 c 1 1; cat /dev/mem2; cat /dev/null; echo $?") as found:
        said = found.run()
        assert "can't open '/dev/mem2': Operation not permitted" in said.err, said
        assert said.out == "0\n"


def test_a17_the_filter_is_there_before_the_program() -> None:
    with box("sleep", "600") as found:
        found.pid, _ = found.runtime.create(found.launch)
        assert programs(found) == 1


def test_a17_the_filter_survives_updates() -> None:
    with sh("mknod /dev/mem2 c 1 1; sleep 600") as found:
        found.start()
        before = programs(found)
        for parts in ({"memory": {"limit": 64 * MEGABYTE}}, {"pids": {"limit": 9}}, {}):
            found.update(**parts)
            assert programs(found) == before == 1
        until(lambda: found.exec("test", "-e", "/dev/mem2").code == 0)
        assert "Operation not permitted" in found.exec("cat", "/dev/mem2").err


def test_a17_an_update_replaces_it() -> None:
    with sh("mknod /dev/f c 1 7; mknod /dev/tty9 c 4 9; sleep 600") as found:
        found.start()
        until(lambda: found.exec("test", "-e", "/dev/tty9").code == 0)
        assert "not permitted" in found.exec("dd", "if=/dev/tty9", "count=0").err
        rule = {"allow": True, "type": "c", "major": 4, "minor": 9, "access": "r"}
        found.update(devices=[rule])
        assert programs(found) == 1
        assert "not permitted" not in found.exec("dd", "if=/dev/tty9", "count=0").err
        assert "not permitted" in found.exec("sh", "-c", "exec 3<>/dev/tty9").err
        found.update(devices=[])
        assert "not permitted" in found.exec("dd", "if=/dev/tty9", "count=0").err


def test_a17_groups_below_are_under_it_too() -> None:
    text = ("mkdir /sys/fs/cgroup/a && echo $$ > /sys/fs/cgroup/a/cgroup.procs &&"
            " cat /dev/mem2")  # fmt: skip
    with sh(f"mknod /dev/mem2 c 1 1; {text}", change=writable_groups) as found:
        assert "can't open '/dev/mem2': Operation not permitted" in found.run().err


def test_a17_a_thousand_rules_pass_the_verifier() -> None:
    rules = [{"allow": number % 3 != 0, "type": "bc"[number % 2], "major": number % 50,
              "minor": number, "access": ("r", "rw", "m")[number % 3]}
             for number in range(1000)]  # fmt: skip
    with sh("cat /dev/null && echo fine", change=limits(devices=rules)) as found:
        assert found.run().out == "fine\n"


def test_a17_without_bpf_nobody_starts_but_the_privileged() -> None:
    from dockyard.base.linux import bpf

    real = bpf._bpf
    try:
        bpf._bpf = lambda *_: (_ for _ in ()).throw(OSError(38, "bpf: not implemented"))
        with sh("true") as found:
            assert "takes no device filter" in found.refusal()
        with sh("echo here", privileged=True) as found:
            assert found.run().out == "here\n"
    finally:
        bpf._bpf = real


def test_privileged_has_no_filter() -> None:
    with box("sleep", "600", privileged=True) as found:
        found.start()
        assert programs(found) == 0
        found.update(devices=[])
        assert programs(found) == 1
        found.update(devices=[{"allow": True, "access": "rwm"}])
        assert programs(found) == 0


# running and ending


def test_pause_and_resume() -> None:
    with sh("while :; do :; done") as found:
        found.start()
        found.runtime.pause(found.cgroup)
        assert found.status() == "paused"
        usage = cgroupstats.cpu(found.cgroup).total
        assert cgroupstats.cpu(found.cgroup).total == usage
        found.runtime.resume(found.cgroup)
        until(lambda: cgroupstats.cpu(found.cgroup).total > usage)
        found.runtime.pause(found.cgroup)  # a frozen one can be removed


def test_nobody() -> None:
    for act in (lambda: group.freeze("nobody", True), lambda: group.update("nobody", {})):
        with raises(NotFound, "no such container"):
            act()
    group.remove("nobody")
    assert group.pids("nobody") == []


def test_groups_that_a_container_made_go_with_it() -> None:
    text = """cd /sys/fs/cgroup; mkdir -p a/b c; echo +memory > cgroup.subtree_control
        sleep 600 & echo $! > /sys/fs/cgroup/a/b/cgroup.procs; sleep 600"""
    with sh(text, change=writable_groups) as found:
        found.start()
        inner = GROUPS / found.cgroup / "a/b/cgroup.procs"
        until(lambda: inner.exists() and inner.read_text())
        assert int(inner.read_text().split()[0]) in group.pids(found.cgroup)


def test_commands_follow_an_init_that_has_moved() -> None:
    """An init like systemd makes groups of its own, and then none may be in the outer one."""
    text = """mkdir /sys/fs/cgroup/init.scope; echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs
        echo '+memory +pids' > /sys/fs/cgroup/cgroup.subtree_control; echo up; sleep 600"""
    with sh(text, change=writable_groups) as found:
        found.start()
        until(lambda: "memory" in found.file("cgroup.subtree_control"))
        said = found.exec("cat", "/proc/self/cgroup")
        assert said.out == "0::/init.scope\n", said


def test_monitors_live_beside_their_containers() -> None:
    with box("sleep", "600") as found:
        found.start()
        file = GROUPS / PARENT / "monitors/cgroup.procs"
        until(lambda: file.exists() and file.read_text().split())
    until(lambda: not (GROUPS / PARENT).exists())


def test_one_that_is_refused_changes_nothing() -> None:
    memory = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}
    with box("sleep", "600", change=limits(memory=memory)) as found:
        found.start()
        with raises(Invalid, "cpu.max"):
            found.update(memory={"limit": 32 * MEGABYTE}, cpu={"shares": 99, "quota": 7})
        assert found.file("memory.max") == str(64 * MEGABYTE)
        assert found.file("cpu.weight") == "100"


def test_a_controller_that_is_not_passed_on() -> None:
    """A process in the group above keeps it from passing controllers on; the refusal says so."""
    above = GROUPS / "full"
    above.mkdir()
    pid = os.fork()
    if pid == 0:
        (above / "cgroup.procs").write_text("0")
        os.execv("/bin/sleep", ["sleep", "600"])
    try:
        until(lambda: (above / "cgroup.procs").read_text())
        with raises(Unsupported, "live in it, not in a group below"):
            group.create("full/c", {"memory": {"limit": MEGABYTE}})
        assert not (above / "c").exists()
        assert (above / "cgroup.type").read_text() == "domain\n"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        until(lambda: not (above / "cgroup.procs").read_text())
        above.rmdir()


# out of memory, statistics


def test_whoever_watches_hears_of_it() -> None:
    change = limits(memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})
    with sh(f"sleep 2; {EAT}", change=change) as found:
        found.start()
        with oom.watch(found.cgroup) as events:
            seen = []
            while oom.GONE not in seen:
                assert select.select([events], [], [], 60)[0], seen
                seen.append(events.read())
            assert oom.OOM in seen


def test_statistics() -> None:
    text = "x=$(head -c 8m /dev/zero | tr '\\0' x); sleep 600; :"
    change = limits(memory={"limit": 128 * MEGABYTE}, pids={"limit": 50})
    with sh(text, change=change) as found:
        found.start()
        until(lambda: cgroupstats.memory(found.cgroup).anonymous > 8 * MEGABYTE)
        until(lambda: cgroupstats.pids(found.cgroup) == cgroupstats.Pids(2, 50))
        memory, cpu = cgroupstats.memory(found.cgroup), cgroupstats.cpu(found.cgroup)
        assert memory.usage.limit == 128 * MEGABYTE
        assert memory.anonymous <= memory.usage.used
        assert cpu.total > 0
        assert cpu.user + cpu.kernel <= cpu.total * 1.01 + 10_000_000


# what a container sees


def test_a09_a_container_sees_and_writes_nothing_but_reads_its_own() -> None:
    text = ("cat /proc/self/cgroup; ls /sys/fs/cgroup | grep -c memory.max;"
            " echo 1 > /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x")  # fmt: skip
    with sh(text) as found:
        said = found.run()
        assert said.out == "0::/\n1\n", said
        assert said.err.count("Read-only file system") == 2


def test_a09_without_a_namespace_of_its_own_it_is_read_only() -> None:
    def shared(spec: dict) -> None:
        kinds = spec["linux"]["namespaces"]
        spec["linux"]["namespaces"] = [kind for kind in kinds if kind["type"] != "cgroup"]

    for kind in ("cgroup", "cgroup2"):

        def change(spec: dict, kind: str = kind) -> None:
            shared(spec)
            for mount in spec["mounts"]:
                if mount["type"] == "cgroup":
                    mount.update(type=kind, options=["rw"])

        with sh("mkdir /sys/fs/cgroup/x; cat /proc/self/cgroup", privileged=True,
                change=change) as found:  # fmt: skip
            said = found.run()
            assert "Read-only file system" in said.err
            assert said.out == f"0::/{found.cgroup}\n"
    assert not (GROUPS / "x").exists()


def test_a_namespace_of_its_own_may_be_written() -> None:
    with sh("mkdir /sys/fs/cgroup/x && cat /proc/self/cgroup", change=writable_groups) as found:
        assert found.run().out == "0::/\n"


# an ordinary user


def as_user(body: object, uid: int = 1000) -> str:
    """What an ordinary user's process says; empty is fine."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            cgroupfs.delegated.cache_clear()
            group._doors.cache_clear()
            body()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    said = os.read(reader, 65536).decode()
    os.close(reader)
    return said


def test_nothing_delegated_is_no_group_and_no_limit() -> None:
    def body() -> None:
        assert group.create("dockyard/u/c", {}) == ""
        group.join("")
        with raises(Denied, "no group is delegated"):
            group.create("dockyard/u/c", {"memory": {"limit": MEGABYTE}})

    assert as_user(body) == ""
    assert not (GROUPS / "dockyard/u").exists()


def test_what_is_delegated_is_used() -> None:
    """cgroup-v2.rst, "Delegation": the folder and three files are the user's."""
    place = GROUPS / "user"
    (place / "shell").mkdir(parents=True)
    (GROUPS / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "shell",
                 "shell/cgroup.procs"):  # fmt: skip
        os.chown(place / name, 1000, 1000)

    def body() -> None:
        made = group.create("dockyard/u/c", {"memory": {"limit": 32 * MEGABYTE},
                                             "pids": {"limit": 9}})  # fmt: skip
        assert made == "user/dockyard/u/c", made
        assert (GROUPS / made / "memory.max").read_text() == f"{32 * MEGABYTE}\n"
        pid = os.fork()
        if pid == 0:
            group.join(made)
            os.execv("/bin/sleep", ["sleep", "600"])
        until(lambda: group.pids(made) == [pid])
        group.update("dockyard/u/c", {"pids": {"limit": 5}})
        assert (GROUPS / made / "pids.max").read_text() == "5\n"
        group.freeze(made, True)
        assert group.is_frozen("dockyard/u/c")
        os.waitpid(os.fork() or _end(made), 0)
        os.waitpid(pid, 0)
        assert not (GROUPS / made).exists()

    pid = os.fork()
    if pid == 0:
        (place / "shell/cgroup.procs").write_text("0")
        said = as_user(body)
        os.write(2, said.encode())
        os._exit(bool(said))
    _, status = os.waitpid(pid, 0)
    assert status == 0, "see the console"
    for name in ("dockyard", "shell", ""):
        (place / name).rmdir()


def _end(made: str) -> int:
    group.remove(made)
    os._exit(0)


# helpers


def writable_groups(spec: dict) -> None:
    """/sys/fs/cgroup may be written: the namespace is the container's own."""
    for mount in spec["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev"]


def programs(found: Box) -> int:
    """How many device filters its group has."""
    from dockyard.base.linux import bpf

    folder = os.open(GROUPS / found.cgroup, os.O_RDONLY)
    try:
        listed = bpf.device_programs(folder)
    finally:
        os.close(folder)
    for program in listed:
        os.close(program)
    return len(listed)
