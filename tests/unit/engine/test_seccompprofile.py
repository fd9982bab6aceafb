"""Docker's form of a seccomp profile, by its documentation and moby's conditions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.engine.seccompprofile import Machine, convert, parse
from dockyard.node.engine.spec import security_option

HERE = Machine("x86_64", (6, 1))


def calls(rule: dict[str, Any], caps: tuple[str, ...] = (), machine: Machine = HERE) -> list[str]:
    profile = {"defaultAction": "SCMP_ACT_ERRNO",
               "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ALLOW", **rule}]}  # fmt: skip
    return [name for each in convert(profile, caps, machine)["syscalls"] for name in each["names"]]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_A"]}}, True),
        ({"includes": {"caps": ["CAP_B"]}}, False),
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, False),
        ({"excludes": {"caps": ["CAP_A"]}}, False),
        ({"excludes": {"caps": ["CAP_B"]}}, True),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "4.8"}}, False),
    ],
)
def test_conditions(rule: dict[str, Any], holds: bool) -> None:
    assert calls(rule, ("CAP_A",)) == (["x"] if holds else [])


def test_the_whole_form() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        "syscalls": [
            {"name": "read", "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "comment": "dropped",
             "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    }  # fmt: skip
    assert convert(parse(json.dumps(profile)), (), HERE) == {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"defaultAction": 1}', "{" * 100000,
     '{"defaultAction": "A", "architectures": ["x"], "archMap": [{"architecture": "x"}]}'],
)  # fmt: skip
def test_documents_that_are_none(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


@pytest.mark.parametrize(
    "rest", [{"syscalls": 1}, {"syscalls": [1]}, {"syscalls": [{"names": ["x"]}]}, {"archMap": [1]},
             {"syscalls": [{"names": ["x"], "action": "A", "includes": {"minKernel": "x"}}]}]
)  # fmt: skip
def test_members_of_another_form(rest: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        convert({"defaultAction": "A", **rest}, (), HERE)


@pytest.mark.parametrize(
    ("text", "pair"),
    [("seccomp=unconfined", ("seccomp", "unconfined")), ("label:disable", ("label", "disable")),
     ('seccomp={"a":"b=c"}', ("seccomp", '{"a":"b=c"}')),
     ("no-new-privileges", ("no-new-privileges", ""))],
)  # fmt: skip
def test_options(text: str, pair: tuple[str, str]) -> None:
    assert security_option(text) == pair
