"""Control groups as this machine has them: limits and their effects, device rules, the way out."""

from __future__ import annotations

import select
import time
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.base.linux import cgroupfs, cgroupstats
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.cgroups import group, light, oom
from dockyard.node.runtime.local import wait_for_monitor

from .conftest import Box, Yard, refused

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(cgroupfs.layout().pure, reason="cgroup v1 is not mounted"),
]
MEGABYTE = 1 << 20


def resources(**parts: Any) -> Any:
    return lambda spec: spec["linux"]["resources"].update(parts)


def value(box: Box, file: str) -> str:
    controller = file.split(".")[0]
    return Path(cgroupfs.folder(controller, box.cgroup), file).read_text().strip()


def until(check: Any, seconds: float = 10.0) -> None:
    """Wait for something that the kernel does on its own."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class TestLimits:
    def test_memory(self, yard: Yard) -> None:
        memory = {"limit": 64 * MEGABYTE, "swap": 96 * MEGABYTE, "reservation": 8 * MEGABYTE,
                  "swappiness": 5, "kernelTCP": MEGABYTE, "useHierarchy": True,
                  "disableOOMKiller": True}  # fmt: skip
        box = yard.box("sleep", "60", change=resources(memory=memory)).start()
        assert value(box, "memory.limit_in_bytes") == str(64 * MEGABYTE)
        assert value(box, "memory.memsw.limit_in_bytes") == str(96 * MEGABYTE)
        assert value(box, "memory.soft_limit_in_bytes") == str(8 * MEGABYTE)
        assert value(box, "memory.swappiness") == "5"
        assert value(box, "memory.kmem.tcp.limit_in_bytes") == str(MEGABYTE)
        assert "oom_kill_disable 1" in value(box, "memory.oom_control")
        box.runtime.update(box.cgroup, {"memory": {"disableOOMKiller": False}})
        assert "oom_kill_disable 0" in value(box, "memory.oom_control")

    def test_a_process_without_killer_waits_for_memory(self, yard: Yard) -> None:
        limit = 16 * MEGABYTE
        memory = {"limit": limit, "swap": limit, "disableOOMKiller": True}
        text = "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x"
        box = yard.sh(text, change=resources(memory=memory)).start()
        until(lambda: "under_oom 1" in value(box, "memory.oom_control"))
        assert box.runtime.state(box.run_dir).status == "running"

    def test_kernel_memory_is_refused_by_name(self, yard: Yard) -> None:
        """Linux 5.16 and later count it with the rest (cgroup-v1/memory.rst)."""
        box = yard.sh("true", change=resources(memory={"kernel": MEGABYTE}))
        assert "linux.resources.memory.kernel" in str(refused(box))
        assert box.groups() == []

    def test_hierarchy_is_refused_by_name(self, yard: Yard) -> None:
        box = yard.sh("true", change=resources(memory={"useHierarchy": False}))
        assert "useHierarchy" in str(refused(box))

    def test_a_limit_below_what_is_used(self, yard: Yard) -> None:
        text = "x=$(head -c 16m /dev/zero | tr '\\0' x); echo ready; sleep 60; :"
        box = yard.sh(text, change=resources(memory={"limit": 128 * MEGABYTE})).start()
        until(lambda: "ready" in ((box.launch.log and Path(box.launch.log.path).read_text()) or ""))
        check = {"limit": 4 * MEGABYTE, "checkBeforeUpdate": True}
        with pytest.raises(DockyardError, match="used already"):
            box.runtime.update(box.cgroup, {"memory": check})
        assert value(box, "memory.limit_in_bytes") == str(128 * MEGABYTE)

    def test_processor(self, yard: Yard) -> None:
        cpu = {"shares": 512, "quota": 20000, "period": 50000, "burst": 7000, "cpus": "0",
               "mems": "0", "idle": 0}  # fmt: skip
        box = yard.box("sleep", "60", change=resources(cpu=cpu)).start()
        assert value(box, "cpu.shares") == "512"
        assert value(box, "cpu.cfs_quota_us") == "20000"
        assert value(box, "cpu.cfs_period_us") == "50000"
        assert value(box, "cpu.cfs_burst_us") == "7000"
        assert value(box, "cpuset.mems") == "0"
        box.runtime.update(box.cgroup, {"cpu": {"idle": 1}})
        assert value(box, "cpu.idle") == "1"
        box.runtime.update(box.cgroup, {"cpu": {"idle": 0, "quota": -1, "shares": 100, "burst": 0}})
        assert (value(box, "cpu.idle"), value(box, "cpu.shares")) == ("0", "100")
        assert value(box, "cpu.cfs_quota_us") == "-1"

    def test_processors_are_those_of_the_group_above(self, yard: Yard) -> None:
        """Of the first container, which makes that group, and of those that are born into it."""
        for box in (yard.box("sleep", "60").start(), yard.box("sleep", "60").start()):
            above = Path(cgroupfs.folder("cpuset", box.cgroup)).parent
            for file in ("cpuset.cpus", "cpuset.mems"):
                assert value(box, file) == (above / file).read_text().strip() != ""

    def test_a_quota_slows(self, yard: Yard) -> None:
        cpu = {"quota": 5000, "period": 50000}
        box = yard.sh("while :; do :; done", change=resources(cpu=cpu)).start()
        file = Path(cgroupfs.folder("cpu", box.cgroup), "cpu.stat")
        until(lambda: cgroupfs.flat(str(file))["nr_throttled"] > 2)

    def test_real_time(self, yard: Yard) -> None:
        """A group has no more than the one above it, which has none (sched-rt-group.rst)."""
        parts = {"realtimePeriod": 1000000, "realtimeRuntime": 1000}
        box = yard.sh("true", change=resources(cpu=parts))
        assert "cpu.rt_runtime_us" in str(refused(box))
        assert box.groups() == []

    def test_throttles(self, yard: Yard) -> None:
        disks = [line.split()[2] for line in Path("/proc/diskstats").read_text().splitlines()]
        numbers = Path(f"/sys/block/{disks[0]}/dev").read_text().strip()
        major, minor = (int(part) for part in numbers.split(":"))
        names = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice",
                 "throttleWriteIOPSDevice")  # fmt: skip
        block = {name: [{"major": major, "minor": minor, "rate": 100 + index}]
                 for index, name in enumerate(names)}  # fmt: skip
        box = yard.box("sleep", "60", change=resources(blockIO=block)).start()
        for index, file in enumerate(("read_bps", "write_bps", "read_iops", "write_iops")):
            assert value(box, f"blkio.throttle.{file}_device") == f"{numbers} {100 + index}"

    def test_weights(self, yard: Yard) -> None:
        """Only a scheduler with weights has them: BFQ, where the kernel has that."""
        box = yard.box("sleep", "60", change=resources(blockIO={"weight": 300}))
        try:
            box.start()
        except StartFailed as error:
            assert "linux.resources.blockIO.weight" in str(error)
            assert box.groups() == []
        else:
            assert value(box, "blkio.bfq.weight") == "300"

    @pytest.mark.parametrize(
        "block",
        [{"leafWeight": 300}, {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 300}]}],
        ids=str,
    )
    def test_leaf_weights_went_with_cfq(self, yard: Yard, block: dict[str, Any]) -> None:
        box = yard.sh("true", change=resources(blockIO=block))
        assert "linux.resources.blockIO" in str(refused(box))
        assert box.groups() == []

    @pytest.mark.parametrize(
        ("parts", "named"),
        [
            ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "controller rdma"),
            ({"network": {"classID": 7}}, "controller net_cls"),
            ({"network": {"priorities": [{"name": "lo", "priority": 3}]}}, "controller net_prio"),
            ({"unified": {"memory.high": "1000000"}}, "controller memory"),
            ({"unified": {"memory.high\n": "1"}}, "linux.resources.unified"),
        ],
        ids=str,
    )
    def test_what_this_machine_lacks_is_refused_by_name(
        self, yard: Yard, parts: dict[str, Any], named: str
    ) -> None:
        box = yard.sh("true", change=resources(**parts))
        if named.split()[-1] in cgroupfs.layout().v1 and "unified" not in parts:
            assert box.run().code == 0
            return
        assert named in str(refused(box))
        assert box.groups() == []

    def test_huge_pages(self, yard: Yard) -> None:
        """In a hybrid layout the controller may be version 2's."""
        limits = [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]
        box = yard.box("sleep", "60", change=resources(hugepageLimits=limits))
        if not cgroupfs.folder("hugetlb", "x"):
            assert "controller hugetlb" in str(refused(box))
            return
        box.start()
        ending = "limit_in_bytes" if "hugetlb" in cgroupfs.layout().v1 else "max"
        assert value(box, f"hugetlb.2MB.{ending}") == str(4 * MEGABYTE)
        assert value(box, f"hugetlb.2MB.rsvd.{ending}") == str(4 * MEGABYTE)
        assert str(box.pid) in value(box, "hugetlb.2MB.max") or str(box.pid) in (
            Path(cgroupfs.folder("hugetlb", box.cgroup), "cgroup.procs").read_text().split()
        )
        other = [{"pageSize": "3MB", "limit": 0}]
        assert "3MB" in str(refused(yard.sh("true", change=resources(hugepageLimits=other))))


class TestUpdate:
    def test_one_that_is_refused_changes_nothing(self, yard: Yard) -> None:
        memory = {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}
        box = yard.box("sleep", "60", change=resources(memory=memory, pids={"limit": 50})).start()
        wrong = {"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE},
                 "cpu": {"shares": 77, "quota": 7}}  # fmt: skip
        with pytest.raises(Invalid, match="cfs_quota_us"):
            box.runtime.update(box.cgroup, wrong)
        assert value(box, "memory.limit_in_bytes") == str(64 * MEGABYTE)
        assert value(box, "memory.memsw.limit_in_bytes") == str(64 * MEGABYTE)
        assert value(box, "cpu.shares") == "1024"

    def test_of_nobody(self) -> None:
        with pytest.raises(NotFound, match="no such container"):
            group.update("dockyard/nobody/there", {"pids": {"limit": 5}})

    def test_memory_and_swap_grow_and_shrink(self, yard: Yard) -> None:
        both = {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}
        box = yard.box("sleep", "60", change=resources(memory=both)).start()
        for limit, swap in ((64, 128), (16, 16), (200, 200), (-1, -1)):
            bytes_ = [number if number < 0 else number * MEGABYTE for number in (limit, swap)]
            box.runtime.update(box.cgroup, {"memory": {"limit": bytes_[0], "swap": bytes_[1]}})
            if limit > 0:
                assert value(box, "memory.limit_in_bytes") == str(bytes_[0])
                assert value(box, "memory.memsw.limit_in_bytes") == str(bytes_[1])


class TestDevices:
    """A17: device rules hold from the first instruction on, and through updates."""

    def test_a17_what_is_not_listed_cannot_be_opened(self, yard: Yard) -> None:
        box = yard.sh("mknod /dev/mem2 c 1 1; cat /dev/mem2; mknod /d b 8 0; cat /d; cat /dev/null")
        ended = box.run()
        assert ended.err.count("Operation not permitted") == 2
        assert ended.code == 0

    def test_a17_the_first_instruction_is_under_the_rules(self, yard: Yard) -> None:
        """A script's interpreter that the kernel opens for it is a device that is not allowed."""
        box = yard.box("sleep", "60")
        box.create()
        listed = value(box, "devices.list").splitlines()
        assert "a *:* rwm" not in listed
        assert "c 1:3 rwm" in listed

    def test_a17_rules_survive_an_update(self, yard: Yard) -> None:
        box = yard.sh("mknod /mem c 1 1; sleep 60").start()
        before = value(box, "devices.list")
        for parts in ({"memory": {"limit": 64 * MEGABYTE}}, {"cpu": {"shares": 5}}, {}):
            box.runtime.update(box.cgroup, parts)
            assert value(box, "devices.list") == before
        until(lambda: box.exec("test", "-e", "/mem").code == 0)
        assert "Operation not permitted" in box.exec("cat", "/mem").err

    def test_a17_an_update_of_the_rules(self, yard: Yard) -> None:
        box = yard.sh("mknod /full2 c 1 7; mknod /tun c 10 200; sleep 60").start()
        until(lambda: box.exec("test", "-e", "/tun").code == 0)
        rule = {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rwm"}
        box.runtime.update(box.cgroup, {"devices": [rule]})
        assert "c 10:200 rwm" in value(box, "devices.list")
        box.runtime.update(box.cgroup, {"devices": []})
        assert "c 10:200 rwm" not in value(box, "devices.list")
        assert "Operation not permitted" in box.exec("dd", "if=/tun", "count=0").err
        assert box.exec("cat", "/dev/null").code == 0

    def test_a17_inside_nobody_widens_them(self, yard: Yard) -> None:
        text = "echo 'a *:* rwm' > /sys/fs/cgroup/devices/devices.allow; cat /mem"
        box = yard.sh(f"mknod /mem c 1 1; {text}", privileged=False)
        ended = box.run()
        assert "Read-only file system" in ended.err
        assert "/mem" in ended.err

    def test_privileged(self, yard: Yard) -> None:
        box = yard.box("sleep", "60", privileged=True).start()
        assert value(box, "devices.list") == "a *:* rwm"


class TestFreezer:
    def test_pause_and_resume(self, yard: Yard) -> None:
        box = yard.sh("while :; do echo x; done").start()
        box.runtime.pause(box.cgroup)
        assert value(box, "freezer.state") == "FROZEN"
        assert box.runtime.state(box.run_dir).status == "paused"
        usage = value(box, "cpuacct.usage")
        assert value(box, "cpuacct.usage") == usage
        box.runtime.resume(box.cgroup)
        until(lambda: int(value(box, "cpuacct.usage")) > int(usage))

    def test_a_paused_container_can_be_removed(self, yard: Yard) -> None:
        box = yard.sh("sh -c 'while :; do :; done' & while :; do :; done").start()
        box.runtime.pause(box.cgroup)
        box.delete()
        assert box.groups() == []

    def test_nobody(self) -> None:
        with pytest.raises(NotFound):
            group.freeze("dockyard/nobody/there", True)


class TestEnd:
    def test_groups_that_a_container_made_go_with_it(self, yard: Yard) -> None:
        text = """for c in memory pids freezer; do
            mkdir -p /sys/fs/cgroup/$c/a/b
            sleep 600 & echo $! > /sys/fs/cgroup/$c/a/b/cgroup.procs
        done; sleep 600"""
        box = yard.sh(text, privileged=True).start()
        inner = Path(cgroupfs.folder("freezer", box.cgroup), "a/b/cgroup.procs")
        until(lambda: inner.exists() and inner.read_text() != "")
        box.delete()
        assert box.groups() == []

    def test_processes_below_count_as_the_containers(self, yard: Yard) -> None:
        text = "mkdir /sys/fs/cgroup/pids/a; echo $$ > /sys/fs/cgroup/pids/a/cgroup.procs; sleep 60"
        box = yard.sh(text, privileged=True).start()
        until(lambda: Path(cgroupfs.folder("pids", box.cgroup), "a").exists())
        until(lambda: box.pid in group.pids(box.cgroup))


class TestOutOfMemory:
    def test_whoever_watches_hears_of_it(self, yard: Yard) -> None:
        limit = 16 * MEGABYTE
        box = yard.sh(
            "read x; x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x",
            change=resources(memory={"limit": limit, "swap": limit}), open_stdin=True,
        )  # fmt: skip
        box.create()
        stream = box.runtime.attach(box.run_dir)
        box.runtime.start(box.run_dir)
        with oom.watch(box.cgroup) as events:
            assert not select.select([events], [], [], 0)[0]
            stream.write(b"\n")
            assert select.select([events], [], [], 30)[0]
            assert events.read() == [oom.OOM]
            box.wait()
            wait_for_monitor(box.run_dir)
            while oom.GONE not in (said := events.read()):
                assert said == [oom.OOM]
                assert select.select([events], [], [], 30)[0]
        stream.close()

    def test_g11_only_the_guilty_group_dies(self, yard: Yard) -> None:
        limit = 16 * MEGABYTE
        calm = yard.sh(
            "while :; do sleep 1; done", change=resources(memory={"limit": limit})
        ).start()
        guilty = yard.sh(
            "x=$(head -c 64m /dev/zero | tr '\\0' x); echo $x",
            change=resources(memory={"limit": limit, "swap": limit}),
        ).start()
        assert guilty.wait().oom_killed
        assert calm.runtime.state(calm.run_dir).status == "running"
        assert light.oom_kills(group.oom_file(calm.cgroup)) == 0
        assert calm.exec("echo", "here").out == "here\n"


class TestForkBomb:
    def test_g11_a_fork_bomb_hits_its_own_limit(self, yard: Yard) -> None:
        """Bounded twice: by the limit, and by the container's end."""
        bomb = yard.sh(
            "f() { f | f & }; f; sleep 600",
            change=resources(pids={"limit": 64}, cpu={"quota": 20000, "period": 100000}),
        ).start()  # fmt: skip
        events = Path(cgroupfs.folder("pids", bomb.cgroup), "pids.events")
        until(lambda: cgroupfs.flat(str(events))["max"] > 0, 30)
        assert int(value(bomb, "pids.current")) <= 64
        other = yard.sh("echo alive")
        assert other.run().out == "alive\n"
        bomb.delete()
        assert bomb.groups() == []


class TestStatistics:
    def test_what_a_container_uses(self, yard: Yard) -> None:
        text = "x=$(head -c 8m /dev/zero | tr '\\0' x); echo ready; sleep 60; :"
        change = resources(memory={"limit": 128 * MEGABYTE}, pids={"limit": 50})
        box = yard.sh(text, change=change).start()
        assert box.launch.log
        log = Path(box.launch.log.path)
        until(lambda: "ready" in log.read_text())
        until(lambda: cgroupstats.pids(box.cgroup).current == 2)  # sleep comes after it
        memory, cpu = cgroupstats.memory(box.cgroup), cgroupstats.cpu(box.cgroup)
        assert 8 * MEGABYTE <= memory.usage.used <= memory.usage.most <= 128 * MEGABYTE
        assert memory.usage.limit == 128 * MEGABYTE
        assert 8 * MEGABYTE <= memory.anonymous <= memory.usage.used
        assert memory.oom_kills == 0
        assert 0 < cpu.total < 60e9
        assert sum(cpu.each) == pytest.approx(cpu.total, rel=0.2)
        assert cgroupstats.pids(box.cgroup) == cgroupstats.Pids(2, 50)  # the shell and sleep

    def test_no_limit_and_nobody(self, yard: Yard) -> None:
        box = yard.box("sleep", "60").start()
        assert cgroupstats.memory(box.cgroup).usage.limit is None
        assert cgroupstats.pids(box.cgroup).limit is None
        assert cgroupstats.memory("dockyard/nobody") == cgroupstats.Memory()
        assert cgroupstats.cpu("dockyard/nobody") == cgroupstats.Cpu()
        assert cgroupstats.block("dockyard/nobody") == cgroupstats.Block()
        assert cgroupstats.hugetlb("dockyard/nobody") == {}
