"""Device rules as version 1's files and as version 2's program, held against one plain reading.

The reading: for each access (config-linux.md, allowed devices) the last rule that matches counts.
The program runs in an interpreter of the few instructions that it uses (linux/bpf.h).
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.runtime.cgroups import devicerules
from dockyard.node.runtime.cgroups.devicefilter import compile_filter
from dockyard.node.runtime.cgroups.devicerules import DEFAULT, Policy, Rule
from dockyard.node.runtime.cgroups.devices import Devices

TUN = ("c", 10, 200)
NULL = ("c", 1, 3)
SDA = ("b", 8, 0)
DENY_ALL = {"allow": False, "access": "rwm"}


def policy(*rules: dict[str, Any]) -> Policy:
    found = devicerules.parse({"devices": list(rules)})
    assert found is not None
    return found


def plain(chosen: Policy, kind: str, major: int, minor: int, access: str) -> bool:
    """Whether the last rule that matches allows each of the accesses."""
    device = Rule(True, kind, major, minor, frozenset("r"))
    for letter in access:
        allowed = chosen.allow
        for rule in chosen.rules:
            if rule.covers(device) and letter in rule.access:
                allowed = rule.allow
        if not allowed:
            return False
    return True


def run(program: bytes, kind: str, major: int, minor: int, access: str) -> int:
    """What the kernel's machine answers for one access."""
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    memory = struct.pack("=III", bits << 16 | {"b": 1, "c": 2}[kind], major, minor)
    registers = [0] * 11
    at = steps = 0
    while True:
        code, packed, offset, value = struct.unpack_from("=BBhi", program, at * 8)
        to = packed & 15
        at, steps = at + 1, steps + 1
        assert steps < 20_000
        if code == 0x61:
            registers[to] = struct.unpack_from("=I", memory, offset)[0]
        elif code == 0xB4:
            registers[to] = value & 0xFFFFFFFF
        elif code == 0x54:
            registers[to] &= value & 0xFFFFFFFF
        elif code == 0x74:
            registers[to] >>= value
        elif code == 0x56:
            at += offset * (registers[to] & 0xFFFFFFFF != value & 0xFFFFFFFF)
        elif code == 0x46:
            at += offset * bool(registers[to] & value & 0xFFFFFFFF)
        elif code == 0x05:
            at += offset
        elif code == 0x95:
            return registers[0]
        else:
            raise AssertionError(f"instruction {code:#x}")


rules = st.fixed_dictionaries(
    {"allow": st.booleans(), "type": st.sampled_from(["a", "b", "c", "u"])},
    optional={
        "major": st.sampled_from([-1, 1, 8, 10, 2**32 - 1]),
        "minor": st.sampled_from([-1, 0, 3, 200, 2**31]),
        "access": st.sampled_from(["r", "w", "m", "rw", "rm", "rwm", ""]),
    },
)
devices = st.tuples(
    st.sampled_from("bc"), st.sampled_from([1, 8, 10, 11, 2**32 - 1]),
    st.sampled_from([0, 3, 200, 2**31]), st.sampled_from(["r", "w", "rw", "m", "rwm"]),
)  # fmt: skip


@given(st.lists(rules, max_size=6), st.lists(devices, min_size=1, max_size=8))
def test_the_program_reads_rules_as_the_specification_does(
    listed: list[dict[str, Any]], asked: list[tuple[str, int, int, str]]
) -> None:
    chosen = policy(*listed)
    program = compile_filter(chosen)
    for device in asked:
        assert run(program, *device) == int(plain(chosen, *device)), device


@given(st.lists(rules, max_size=6), st.lists(devices, min_size=1, max_size=8))
def test_version_1_says_the_same_or_refuses(
    listed: list[dict[str, Any]], asked: list[tuple[str, int, int, str]]
) -> None:
    chosen = policy(*listed)
    try:
        found = devicerules.exceptions(chosen)
    except Unsupported:
        return
    for kind, major, minor, access in asked:
        device = Rule(True, kind, major, minor, frozenset(access))
        # one exception has to hold the whole of an access; each access alone is what rules say
        for letter in access:
            meets = any(
                Rule(True, *key, bits).covers(device) and letter in bits
                for key, bits in found.items()
            )
            assert (meets != chosen.allow) == plain(chosen, kind, major, minor, letter)


def test_every_container_has_the_default_devices() -> None:
    program = compile_filter(policy())
    assert run(program, *NULL, "rw") == 1
    assert run(program, "c", 136, 7, "rw") == 1
    assert run(program, *SDA, "m") == 1
    assert run(program, *SDA, "r") == 0
    assert run(program, *TUN, "rw") == 0


def test_a17_an_access_that_is_allowed_only_in_part_is_denied() -> None:
    program = compile_filter(policy({"allow": True, "type": "b", "major": 8, "access": "r"}))
    assert run(program, *SDA, "r") == 1
    assert run(program, *SDA, "rw") == 0


def test_privileged_allows_everything() -> None:
    assert policy({"allow": True, "access": "rwm"}).everything
    assert not policy().everything
    listed = list(Devices().v1({"devices": [{"allow": True, "access": "rwm"}]}, lambda _: ""))
    assert listed == [("devices.allow", "a")]


def test_a_new_group_denies_first_and_ends_with_the_defaults() -> None:
    found = list(Devices().v1({"devices": []}, lambda _: ""))
    assert found[0] == ("devices.deny", "a")
    assert found[1:] == [("devices.allow", devicerules.text(rule)) for rule in DEFAULT]


def test_rules_in_their_order() -> None:
    listed = [
        DENY_ALL,
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
    ]
    found = list(Devices().v1({"devices": listed}, lambda _: ""))
    assert found[:3] == [
        ("devices.deny", "a"), ("devices.allow", "c 10:200 rw"), ("devices.allow", "b 8:* r"),
    ]  # fmt: skip


def test_a17_an_update_changes_only_what_differs() -> None:
    """A container that runs never loses what it keeps, not even for a moment."""
    before = "".join(f"{devicerules.text(rule)}\n" for rule in DEFAULT) + "c 10:200 rwm\n"
    listed = [{"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"},
              {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"}]  # fmt: skip
    found = list(Devices().v1({"devices": listed}, lambda _: before))
    assert found == [("devices.allow", "b 8:0 r"), ("devices.deny", "c 10:200 wm")]


def test_a17_an_update_without_devices_leaves_them() -> None:
    assert list(Devices().v1({"memory": {"limit": 1}}, lambda _: "")) == []
    assert devicerules.parse({"memory": {"limit": 1}}) is None


def test_a17_what_version_1_cannot_say_is_refused_not_left_open() -> None:
    listed = [{"allow": True, "type": "b", "access": "rwm"},
              {"allow": False, "type": "b", "major": 8, "minor": 0, "access": "rwm"}]  # fmt: skip
    with pytest.raises(Unsupported, match="deny b 8:0"):
        list(Devices().v1({"devices": listed}, lambda _: ""))
    assert run(compile_filter(policy(*listed)), *SDA, "r") == 0
    assert run(compile_filter(policy(*listed)), "b", 8, 1, "r") == 1


@pytest.mark.parametrize(
    "rule",
    [1, {"type": ["c"], "allow": True},
     {"type": "z", "allow": True}, {"allow": 1}, {"allow": True, "access": "rwx"}, {},
     {"allow": True, "access": 7}, {"allow": True, "major": "8"}, {"allow": True, "minor": 2**32}],
    ids=str,
)  # fmt: skip
def test_a13_rules_that_are_none(rule: Any) -> None:
    with pytest.raises(Invalid, match=r"linux\.resources\.devices\[0\]"):
        devicerules.parse({"devices": [rule]})


@pytest.mark.parametrize("listed", [{}, "a", [DENY_ALL] * 1025], ids=["object", "text", "many"])
def test_a13_lists_that_are_none(listed: Any) -> None:
    with pytest.raises(Invalid, match="not a list"):
        devicerules.parse({"devices": listed})
