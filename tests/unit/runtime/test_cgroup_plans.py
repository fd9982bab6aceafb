"""Resources of the OCI specification as writes to files of both versions (config-linux.md)."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.errors import Conflict, DockyardError, Invalid, Unsupported
from dockyard.node.runtime.cgroups import unified
from dockyard.node.runtime.cgroups.blkio import Blkio
from dockyard.node.runtime.cgroups.controller import Controller, fresh
from dockyard.node.runtime.cgroups.cpu import Cpu, weight
from dockyard.node.runtime.cgroups.cpuset import Cpuset
from dockyard.node.runtime.cgroups.group import checked
from dockyard.node.runtime.cgroups.hugetlb import Hugetlb
from dockyard.node.runtime.cgroups.limits import CONTROLLERS
from dockyard.node.runtime.cgroups.memory import Memory
from dockyard.node.runtime.cgroups.network import NetCls, NetPrio
from dockyard.node.runtime.cgroups.pids import Pids
from dockyard.node.runtime.cgroups.rdma import Rdma

MEMORY, CPU, BLKIO = Memory(), Cpu(), Blkio()


def v1(controller: Controller, resources: Any, **now: str) -> list[tuple[str, str]]:
    return list(controller.v1(resources, files(now)))


def v2(controller: Controller, resources: Any, **now: str) -> list[tuple[str, str]]:
    return list(controller.v2(resources, files(now)))


def files(now: dict[str, str]) -> Any:
    """Files of a group: ``memory__max`` is memory.max; others are as a new group has them."""
    named = {name.replace("__", "."): value for name, value in now.items()}
    return lambda file: named.get(file, "" if file not in ABSENT else None)


ABSENT = ("blkio.bfq.weight", "io.bfq.weight")


class TestMemory:
    def test_v1(self) -> None:
        memory = {"limit": 100, "swap": 200, "reservation": 50, "swappiness": 0, "kernelTCP": 9}
        assert v1(MEMORY, {"memory": memory}) == [
            ("memory.limit_in_bytes", "100"),
            ("memory.memsw.limit_in_bytes", "200"),
            ("memory.soft_limit_in_bytes", "50"),
            ("memory.kmem.tcp.limit_in_bytes", "9"),
            ("memory.swappiness", "0"),
        ]

    def test_v2_counts_swap_alone(self) -> None:
        memory = {"limit": 100, "swap": 250, "reservation": 50}
        assert v2(MEMORY, {"memory": memory}) == [
            ("memory.swap.max", "150"), ("memory.max", "100"), ("memory.low", "50"),
        ]  # fmt: skip

    def test_no_limit(self) -> None:
        assert v1(MEMORY, {"memory": {"limit": -1}}) == [("memory.limit_in_bytes", "-1")]
        assert v2(MEMORY, {"memory": {"limit": -1, "swap": -1}}) == [
            ("memory.swap.max", "max"), ("memory.max", "max"),
        ]  # fmt: skip

    def test_no_limit_where_there_was_one(self) -> None:
        """Memory is never above memory and swap."""
        found = v1(MEMORY, {"memory": {"limit": -1}}, memory__memsw__limit_in_bytes="96468992")
        both = [("memory.memsw.limit_in_bytes", "-1"), ("memory.limit_in_bytes", "-1")]
        assert found == both
        for now in ("9223372036854771712", ""):
            found = v1(MEMORY, {"memory": {"limit": -1}}, memory__memsw__limit_in_bytes=now)
            assert found == both[1:]

    def test_zero_is_not_set(self) -> None:
        assert v1(MEMORY, {"memory": {"limit": 0, "swap": 0}}) == []
        assert v2(MEMORY, {"memory": {"limit": 0, "swap": 0}}) == []

    def test_a_limit_that_grows_beyond_what_holds_for_both_comes_second(self) -> None:
        resources = {"memory": {"limit": 300, "swap": 400}}
        files = [file for file, _ in v1(MEMORY, resources, memory__memsw__limit_in_bytes="200")]
        assert files == ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]
        files = [file for file, _ in v1(MEMORY, resources, memory__memsw__limit_in_bytes="900")]
        assert files == ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]

    def test_swap_of_a_container_that_has_its_limit(self) -> None:
        assert v2(MEMORY, {"memory": {"swap": 250}}, memory__max="100\n") == [
            ("memory.swap.max", "150")
        ]

    @pytest.mark.parametrize(
        "swap", [{"swap": 5}, {"swap": 5, "limit": 9}, {"swap": 5, "limit": -1}]
    )
    def test_swap_that_cannot_be(self, swap: dict[str, int]) -> None:
        with pytest.raises(Invalid, match=r"memory\.swap"):
            v2(MEMORY, {"memory": swap})

    @pytest.mark.parametrize(
        "field",
        [{"kernel": 1}, {"kernelTCP": 1}, {"swappiness": 0}, {"disableOOMKiller": True},
         {"useHierarchy": False}],
        ids=lambda field: next(iter(field)),
    )  # fmt: skip
    def test_what_v2_does_not_have_is_refused_by_name(self, field: dict[str, Any]) -> None:
        with pytest.raises(Unsupported, match=rf"memory\.{next(iter(field))}"):
            v2(MEMORY, {"memory": field})

    def test_hierarchy(self) -> None:
        now = {"memory__use_hierarchy": "1"}
        assert v1(MEMORY, {"memory": {"useHierarchy": True}}, **now) == []
        with pytest.raises(Unsupported, match="useHierarchy"):
            v1(MEMORY, {"memory": {"useHierarchy": False}}, **now)

    def test_the_killer_is_disabled_and_enabled(self) -> None:
        resources: Any = {"memory": {"disableOOMKiller": True}}
        assert v1(MEMORY, resources) == [("memory.oom_control", "1")]
        resources["memory"]["disableOOMKiller"] = False
        assert v1(MEMORY, resources) == []
        now = "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"
        assert v1(MEMORY, resources, memory__oom_control=now) == [("memory.oom_control", "0")]

    def test_a_limit_below_what_is_used_is_refused_where_asked(self) -> None:
        memory = {"limit": 100, "checkBeforeUpdate": True}
        with pytest.raises(Conflict, match="200 bytes are used"):
            v2(MEMORY, {"memory": memory}, memory__current="200\n")
        with pytest.raises(Conflict, match="200 bytes are used"):
            v1(MEMORY, {"memory": memory}, memory__usage_in_bytes="200\n")
        assert v2(MEMORY, {"memory": memory}, memory__current="50\n")


class TestCpu:
    def test_v1(self) -> None:
        cpu = {"shares": 2, "quota": 50000, "period": 100000, "realtimeRuntime": 5,
               "realtimePeriod": 10}  # fmt: skip
        assert v1(CPU, {"cpu": cpu}) == [
            ("cpu.shares", "2"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.rt_period_us", "10"),
            ("cpu.rt_runtime_us", "5"),
        ]

    @pytest.mark.parametrize(("now", "first"), [("950000", "runtime"), ("5000", "period")])
    def test_a_period_is_never_shorter_than_what_runs_in_it(self, now: str, first: str) -> None:
        cpu = {"realtimePeriod": 10000, "realtimeRuntime": 3000}
        found = v1(CPU, {"cpu": cpu}, cpu__rt_runtime_us=now)
        assert found[0][0] == f"cpu.rt_{first}_us"

    def test_v2(self) -> None:
        cpu = {"shares": 1024, "quota": 50000, "period": 20000, "burst": 10}
        assert v2(CPU, {"cpu": cpu}) == [
            ("cpu.weight", "39"), ("cpu.max", "50000 20000"), ("cpu.max.burst", "10"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("shares", "expected"), [(2, 1), (1024, 39), (262144, 10000), (1, 1), (2**40, 10000)]
    )
    def test_weight(self, shares: int, expected: int) -> None:
        """KEP-2254: 1 + (shares - 2) * 9999 / 262142."""
        assert weight(shares) == expected

    @pytest.mark.parametrize(
        ("cpu", "value"),
        [({"quota": -1}, "max 50000"), ({"quota": 7000}, "7000 50000"),
         ({"period": 9000}, "30000 9000")],
    )  # fmt: skip
    def test_v2_keeps_what_is_not_named(self, cpu: dict[str, int], value: str) -> None:
        assert v2(CPU, {"cpu": cpu}, cpu__max="30000 50000\n") == [("cpu.max", value)]

    def test_a_shorter_period_comes_after_its_quota(self) -> None:
        resources = {"cpu": {"quota": 1000, "period": 2000}}
        assert [file for file, _ in v1(CPU, resources)] == ["cpu.cfs_quota_us", "cpu.cfs_period_us"]

    def test_burst_is_never_above_the_quota(self) -> None:
        resources = {"cpu": {"quota": 1000, "burst": 500}}
        lower = v2(CPU, resources, cpu__max__burst="900\n")
        assert [file for file, _ in lower] == ["cpu.max.burst", "cpu.max"]
        assert [file for file, _ in v2(CPU, resources)] == ["cpu.max", "cpu.max.burst"]

    def test_idle(self) -> None:
        assert v1(CPU, {"cpu": {"idle": 1, "shares": 5}}) == [
            ("cpu.shares", "5"),
            ("cpu.idle", "1"),
        ]
        assert v2(CPU, {"cpu": {"idle": 0, "shares": 2}}) == [
            ("cpu.idle", "0"),
            ("cpu.weight", "1"),
        ]

    @pytest.mark.parametrize("field", ["realtimeRuntime", "realtimePeriod"])
    def test_real_time_is_version_1s(self, field: str) -> None:
        with pytest.raises(Unsupported, match=rf"cpu\.{field}"):
            v2(CPU, {"cpu": {field: 5}})

    def test_sets(self) -> None:
        resources = {"cpu": {"cpus": "0-1", "mems": "0"}}
        for found in (v1(Cpuset(), resources), v2(Cpuset(), resources)):
            assert found == [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]


@pytest.mark.parametrize(("limit", "value"), [(100, "100"), (0, "max"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    for found in (v1(Pids(), {"pids": {"limit": limit}}), v2(Pids(), {"pids": {"limit": limit}})):
        assert found == [("pids.max", value)]


class TestBlockIO:
    def test_throttles(self) -> None:
        device = {"major": 8, "minor": 16, "rate": 1024}
        block = {
            "throttleReadBpsDevice": [device],
            "throttleWriteBpsDevice": [{**device, "rate": 0}],
            "throttleReadIOPSDevice": [{**device, "rate": 7}],
            "throttleWriteIOPSDevice": [{**device, "rate": 8}],
        }
        assert v1(BLKIO, {"blockIO": block}) == [
            ("blkio.throttle.read_bps_device", "8:16 1024"),
            ("blkio.throttle.write_bps_device", "8:16 0"),
            ("blkio.throttle.read_iops_device", "8:16 7"),
            ("blkio.throttle.write_iops_device", "8:16 8"),
        ]
        assert v2(BLKIO, {"blockIO": block}) == [
            ("io.max", "8:16 rbps=1024"), ("io.max", "8:16 wbps=max"), ("io.max", "8:16 riops=7"),
            ("io.max", "8:16 wiops=8"),
        ]  # fmt: skip

    def test_weights(self) -> None:
        block = {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}
        assert v1(BLKIO, {"blockIO": block}) == [
            ("blkio.weight", "500"), ("blkio.weight_device", "8:0 10"),
        ]  # fmt: skip
        assert v1(BLKIO, {"blockIO": block}, blkio__bfq__weight="100") == [
            ("blkio.bfq.weight", "500"), ("blkio.bfq.weight_device", "8:0 10"),
        ]  # fmt: skip
        assert v2(BLKIO, {"blockIO": block}) == [
            ("io.weight", "default 4950"), ("io.weight", "8:0 1"),
        ]  # fmt: skip
        assert v2(BLKIO, {"blockIO": block}, io__bfq__weight="default 100") == [
            ("io.bfq.weight", "default 500"), ("io.bfq.weight", "8:0 10"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "block",
        [{"leafWeight": 10}, {"weightDevice": [{"major": 1, "minor": 1, "leafWeight": 10}]}],
    )
    def test_leaves_are_version_1s(self, block: dict[str, Any]) -> None:
        with pytest.raises(Unsupported, match="leafWeight"):
            v2(BLKIO, {"blockIO": block})

    def test_a_kernel_without_weights(self) -> None:
        with pytest.raises(Unsupported, match=r"blockIO\.weight"):
            list(BLKIO.v1({"blockIO": {"weight": 10}}, lambda _: None))


def test_hugetlb() -> None:
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}
    assert v1(Hugetlb(), resources) == [
        ("hugetlb.2MB.limit_in_bytes", "4096"), ("hugetlb.2MB.rsvd.limit_in_bytes", "4096"),
    ]  # fmt: skip
    assert v2(Hugetlb(), resources) == [
        ("hugetlb.2MB.max", "4096"), ("hugetlb.2MB.rsvd.max", "4096"),
    ]  # fmt: skip
    with pytest.raises(Unsupported, match="2MB"):
        list(Hugetlb().v2(resources, lambda _: None))


def test_rdma() -> None:
    resources = {
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4": {"hcaObjects": 0}}
    }
    for found in (v1(Rdma(), resources), v2(Rdma(), resources)):
        assert found == [
            ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"), ("rdma.max", "mlx4 hca_object=0"),
        ]  # fmt: skip


def test_network() -> None:
    resources = {"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]}}
    assert v1(NetCls(), resources) == [("net_cls.classid", "1048577")]
    assert v1(NetPrio(), resources) == [("net_prio.ifpriomap", "eth0 500")]
    for controller, field in ((NetCls(), "classID"), (NetPrio(), "priorities")):
        with pytest.raises(Unsupported, match=field):
            v2(controller, resources)
        assert v2(controller, {}) == []


def test_unified() -> None:
    resources = {"unified": {"memory.high": "100", "io.max": "8:0 rbps=1\n8:1 wbps=2"}}
    assert list(unified.writes(resources)) == [
        ("memory.high", "100"), ("io.max", "8:0 rbps=1"), ("io.max", "8:1 wbps=2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [{"../memory.max": "1"}, {"/etc/passwd": "x"}, {"memory": "1"}, {"cgroup.procs": "1"},
     {"cgroup.kill": "1"}, {"cgroup.freeze": "1"}, {"memory.max": 1}, {"memory.max": "1\0"},
     {"a/b.c": "1"}, {"memory.max\n": "1"}],
    ids=str,
)  # fmt: skip
def test_a13_files_that_are_none(files: Any) -> None:
    with pytest.raises(Invalid, match=r"linux\.resources\.unified"):
        list(unified.writes({"unified": files}))


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": "1"}},
        {"memory": {"limit": True}},
        {"memory": {"limit": 2**63}},
        {"memory": {"limit": -2}},
        {"memory": {"swappiness": -1}},
        {"memory": {"swappiness": 101}},
        {"memory": {"disableOOMKiller": "yes"}},
        {"memory": [1]},
        {"cpu": {"idle": 2}},
        {"cpu": {"shares": -1}},
        {"cpu": {"period": 1.5}},
        {"cpu": {"cpus": 3}},
        {"cpu": {"cpus": "0\n1"}},
        {"pids": {"limit": "many"}},
        {"blockIO": {"weight": 1001}},
        {"blockIO": {"weight": 9}},
        {"blockIO": {"weightDevice": {"major": 1}}},
        {"blockIO": {"throttleReadBpsDevice": [{"major": 1, "minor": 2}]}},
        {"blockIO": {"throttleReadBpsDevice": [{"major": "8:0 1\n", "minor": 2, "rate": 1}]}},
        {"blockIO": {"throttleReadBpsDevice": [[]]}},
        {"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]},
        {"hugepageLimits": [{"pageSize": "2MB"}]},
        {"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]},
        {"hugepageLimits": {}},
        {"rdma": {"a b": {"hcaHandles": 1}}},
        {"rdma": {"mlx5": {"hcaHandles": 2**32}}},
        {"rdma": {"mlx5": 1}},
        {"network": {"classID": 2**32}},
        {"network": {"priorities": [{"name": "eth0 1", "priority": 1}]}},
        {"network": {"priorities": [{"name": "eth0"}]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [1, 2])
def test_a13_values_that_are_none(resources: dict[str, Any], version: int) -> None:
    with pytest.raises(Invalid, match=r"linux\.resources\."):
        for controller in CONTROLLERS:
            if controller.name != "devices":
                list((controller.v1 if version == 1 else controller.v2)(resources, fresh))


def test_nothing_asked_is_nothing_written() -> None:
    for controller in CONTROLLERS:
        assert list(controller.v1({}, fresh)) == []
        if controller.name != "devices":
            assert list(controller.v2({}, fresh)) == []


@pytest.mark.parametrize("path", ["", "/", "a/../b", "..", "a//b", "./a"])
def test_group_paths_that_climb(path: str) -> None:
    with pytest.raises(DockyardError):
        checked(path)


def test_group_paths() -> None:
    assert checked("/dockyard/0a/c1") == "dockyard/0a/c1"
