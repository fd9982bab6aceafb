"""A shorter filter answers as the one that libseccomp made; both are run as the kernel would:
Documentation/networking/filter.rst, seccomp(2)."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from dockyard.base.linux import seccomp, seccompruns
from dockyard.base.oci.defaultspec import CAPABILITIES
from dockyard.base.oci.seccompdefault import default_profile

Program = list[tuple[int, int, int, int]]
ARCHITECTURES = (0xC000003E, 0x40000003, 0xC00000B7, 5)
ARGUED: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "syscalls": [
        {"names": ["read", "close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7},
        {"names": ["write"], "action": "SCMP_ACT_ERRNO", "args": [
            {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
            {"index": 2, "value": 1 << 33, "op": "SCMP_CMP_GT"}]},
        {"names": ["personality"], "action": "SCMP_ACT_KILL_PROCESS", "args": [
            {"index": 0, "value": 0xFF00, "valueTwo": 0x1200, "op": "SCMP_CMP_MASKED_EQ"}]},
    ],
}  # fmt: skip


def unpacked(program: bytes) -> Program:
    return list(struct.iter_unpack("=HBBI", program))  # type: ignore[arg-type]


def answer(program: Program, data: list[int]) -> int:
    place = loaded = 0
    while True:
        code, yes, no, value = program[place]
        place += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            loaded = data[value // 4]
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            loaded &= value
        elif code == 0x05:  # BPF_JMP | BPF_JA
            place += value
        elif code == 0x06:  # BPF_RET | BPF_K
            return value
        else:  # BPF_JMP | BPF_JEQ, BPF_JGT, BPF_JGE | BPF_K
            holds = {0x15: loaded == value, 0x25: loaded > value, 0x35: loaded >= value}[code]
            place += yes if holds else no


@pytest.mark.parametrize(
    "profile", [default_profile(CAPABILITIES), default_profile(()), ARGUED, {
        "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["exit_group"], "action": "SCMP_ACT_ALLOW"}]},
        {"defaultAction": "SCMP_ACT_ALLOW"}],
)  # fmt: skip
def test_every_number_gets_the_same_answer(
    profile: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    shorter = seccompruns.shorter
    monkeypatch.setattr(seccompruns, "shorter", lambda program: made.append(program) or program)
    seccomp.compile_profile(profile)
    before, after = unpacked(made[0]), unpacked(shorter(made[0]))
    assert len(after) <= len(before)
    chance = random.Random(1)
    asked = [value for _, _, _, value in before]
    near = {n for k in asked for n in (k - 1, k, k + 1) if 0 <= n < 1 << 32}
    for number in sorted({*near, *(chance.getrandbits(32) for _ in range(50))}):
        for architecture in ARCHITECTURES:
            for _ in range(3):
                words = [chance.choice([0, chance.getrandbits(32), *asked]) for _ in range(14)]
                data = [number, architecture, *words]
                assert answer(after, data) == answer(before, data), data


def test_dockers_own_is_a_third_of_what_it_was() -> None:
    """So many that an answer may be too far for a question."""
    packed = seccomp.compile_profile(default_profile(CAPABILITIES))
    assert len(packed) // 8 < 450


@pytest.mark.parametrize(
    "program",
    [
        [(0x00, 0, 0, 5), (0x06, 0, 0, 0x7FFF0000)],  # BPF_LD | BPF_IMM
        [(0x15, 0, 0, 5), (0x06, 0, 0, 0x7FFF0000)],
        [(0x06, 0, 0, 0x7FFF0000)],
        [],
    ],
)
def test_what_it_cannot_read_stays_as_it_is(program: Program) -> None:
    packed = b"".join(struct.pack("=HBBI", *each) for each in program)
    assert seccompruns.shorter(packed) == packed
