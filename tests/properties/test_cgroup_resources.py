"""Whatever stands in ``linux.resources``: a plan whose writes are lines for files of the group, or
an error that says what is wrong. Nothing else."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import DockyardError
from dockyard.node.runtime.cgroups import devicerules, systemd, unified
from dockyard.node.runtime.cgroups.controller import fresh
from dockyard.node.runtime.cgroups.devicefilter import compile_filter
from dockyard.node.runtime.cgroups.limits import CONTROLLERS

MEMBERS = {
    "memory": ["limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness",
               "disableOOMKiller", "useHierarchy", "checkBeforeUpdate"],
    "cpu": ["shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "cpus",
            "mems", "idle"],
    "pids": ["limit"],
    "blockIO": ["weight", "leafWeight", "weightDevice", "throttleReadBpsDevice",
                "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice"],
    "hugepageLimits": ["pageSize", "limit"],
    "network": ["classID", "priorities"],
    "rdma": ["mlx5_1"],
    "unified": ["memory.high", "../x", "cgroup.procs"],
    "devices": ["allow", "type", "major", "minor", "access"],
}  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-2, 2000), st.floats(),
    st.text(max_size=8),
    st.sampled_from(["0-1", "2MB", "rwm", "c", "a", "\0", "0\n1", "max"]),
)  # fmt: skip
names = st.one_of(st.sampled_from(sorted({name for part in MEMBERS.values() for name in part}
                                         | {"major", "minor", "rate", "name", "priority"})),
                  st.text(max_size=8))  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=5)),
    max_leaves=12,
)


def parts(name: str) -> st.SearchStrategy[Any]:
    known = st.dictionaries(st.sampled_from(MEMBERS[name]), anything, max_size=5)
    return st.one_of(known, st.lists(known, max_size=3), anything)


resources = st.fixed_dictionaries({}, optional={name: parts(name) for name in MEMBERS})
_FILE = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+")


@given(resources, st.sampled_from([1, 2]))
def test_a_plan_or_an_error_that_names_the_field(asked: dict[str, Any], version: int) -> None:
    try:
        writes = list(unified.writes(asked))
        for controller in CONTROLLERS:
            if controller.name != "devices" or version == 1:
                decide = controller.v1 if version == 1 else controller.v2
                writes += decide(asked, fresh)
    except DockyardError as error:
        assert "linux.resources" in str(error)
        return
    for file, value in writes:
        assert _FILE.fullmatch(file)
        assert "\0" not in value
        assert "\n" not in value


@given(resources)
def test_a_filter_or_an_error(asked: dict[str, Any]) -> None:
    try:
        policy = devicerules.parse(asked)
    except DockyardError as error:
        assert "linux.resources.devices" in str(error)
        return
    if policy is not None:
        assert len(compile_filter(policy)) % 8 == 0


@given(resources)
def test_properties_for_systemd_or_an_error(asked: dict[str, Any]) -> None:
    try:
        found = systemd.properties(asked)
    except DockyardError as error:
        assert "linux.resources" in str(error)
        return
    for name, (kind, value) in found:
        assert name[0].isupper()
        assert isinstance(value, bytes) if kind == "ay" else 0 <= value < 2**64
