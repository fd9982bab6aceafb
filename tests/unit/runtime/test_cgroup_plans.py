"""Resources of the OCI specification as writes to cgroup v1 files (config-linux.md)."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.runtime.cgroups.cpu import Cpu, Cpuset
from dockyard.node.runtime.cgroups.devices import DEFAULT, Devices
from dockyard.node.runtime.cgroups.group import checked
from dockyard.node.runtime.cgroups.memory import Memory
from dockyard.node.runtime.cgroups.pids import Pids


def test_memory() -> None:
    found = Memory().v1({"memory": {"limit": 100, "swap": 200, "reservation": 50, "swappiness": 0}})
    assert list(found) == [
        ("memory.limit_in_bytes", "100"),
        ("memory.memsw.limit_in_bytes", "200"),
        ("memory.soft_limit_in_bytes", "50"),
        ("memory.swappiness", "0"),
    ]


def test_no_limit_is_minus_one() -> None:
    assert list(Memory().v1({"memory": {"limit": -1}})) == [("memory.limit_in_bytes", "-1")]


def test_cpu_and_cpuset() -> None:
    resources = {"cpu": {"shares": 2, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"}}
    assert list(Cpu().v1(resources)) == [
        ("cpu.shares", "2"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
    ]
    assert list(Cpuset().v1(resources)) == [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]


@pytest.mark.parametrize(("limit", "value"), [(100, "100"), (0, "max"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    assert list(Pids().v1({"pids": {"limit": limit}})) == [("pids.max", value)]


def test_devices_begin_with_a_denial_and_end_with_the_defaults() -> None:
    found = list(Devices().v1({"devices": []}))
    assert found[0] == ("devices.deny", "a")
    assert found[1:] == [("devices.allow", rule) for rule in DEFAULT]


def test_devices_in_their_order() -> None:
    rules = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
    ]
    found = list(Devices().v1({"devices": rules}))
    assert found[:3] == [
        ("devices.deny", "a"),
        ("devices.allow", "c 10:200 rw"),
        ("devices.allow", "b 8:* r"),
    ]


def test_devices_of_the_privileged() -> None:
    found = list(Devices().v1({"devices": [{"allow": True, "access": "rwm"}]}))
    assert found[0] == ("devices.allow", "a")


def test_an_update_without_devices_leaves_them() -> None:
    assert list(Devices().v1({"memory": {"limit": 1}})) == []


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": "1"}},
        {"memory": {"limit": True}},
        {"memory": {"limit": 2**63}},
        {"memory": {"limit": -2}},
        {"memory": {"swappiness": -1}},
        {"memory": [1]},
    ],
)
def test_a13_numbers_that_are_none(resources: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"linux\.resources\.memory"):
        list(Memory().v1(resources))


@pytest.mark.parametrize("path", ["", "/", "a/../b", "..", "a//b", "./a"])
def test_group_paths_that_climb(path: str) -> None:
    with pytest.raises(Invalid):
        checked(path)


def test_group_paths() -> None:
    assert checked("/dockyard/0a/c1") == "dockyard/0a/c1"
