"""Turns device rules into an eBPF program that answers, for each access, whether it is allowed.

Version 2 has no files for devices: a program of type BPF_PROG_TYPE_CGROUP_DEVICE attached to the
group is asked at every open and mknod (cgroup-v2.rst, "Device controller"). Its context
(``struct bpf_cgroup_dev_ctx``) has three words: access << 16 | type, major, minor.

The program keeps what is still to be allowed in a register. From the last rule to the first: a
rule of the device that denies any of it ends with 0, one that allows takes its part away, and when
nothing is left the answer is 1. Each rule loads what it compares anew: what the kernel's verifier
knows after one rule would else multiply with what it knows after the next.

Pure: instructions as ``struct bpf_insn`` has them, for :mod:`dockyard.base.linux.bpf`.
"""

from __future__ import annotations

import struct
import sys

from dockyard.node.runtime.cgroups.devicerules import Policy, Rule

KINDS = {"b": 1, "c": 2}
BITS = {"m": 1, "r": 2, "w": 4}

_ALU32, _JMP, _JMP32 = 0x04, 0x05, 0x06
_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_MOVE, _AND, _RIGHT, _EXIT = 0xB0, 0x50, 0x70, 0x90
_UNEQUAL, _ANY_BIT = 0x50, 0x40
_RESULT, _CONTEXT, _PART, _WANTED = 0, 1, 2, 3
_KIND_OFFSET, _MAJOR_OFFSET, _MINOR_OFFSET = 0, 4, 8
_INSTRUCTION = struct.Struct("=BBhi")


def compile_filter(policy: Policy) -> bytes:
    """The program of a policy."""
    program = [_load(_WANTED, _KIND_OFFSET), _alu(_RIGHT, _WANTED, 16)]
    for rule in reversed(policy.rules):
        program += _rule(rule)
    return b"".join([*program, *_answer(policy.allow)])


def _rule(rule: Rule) -> list[bytes]:
    bits = sum(BITS[access] for access in rule.access)
    if rule.allow:
        act = [
            _alu(_AND, _WANTED, ~bits & 7),
            _jump(_UNEQUAL, _WANTED, 0, skip=2),
            *_answer(True),
        ]
    else:
        act = [_jump(_ANY_BIT, _WANTED, bits, skip=1), _always(2), *_answer(False)]
    for offset, value in ((_MINOR_OFFSET, rule.minor), (_MAJOR_OFFSET, rule.major)):
        if value is not None:
            act = [_load(_PART, offset), _jump(_UNEQUAL, _PART, value, skip=len(act)), *act]
    return [
        _load(_PART, _KIND_OFFSET),
        _alu(_AND, _PART, 0xFFFF),
        _jump(_UNEQUAL, _PART, KINDS[rule.kind], skip=len(act)),
        *act,
    ]


def _answer(allowed: bool) -> list[bytes]:
    return [
        _alu(_MOVE, _RESULT, int(allowed)),
        _INSTRUCTION.pack(_JMP | _EXIT, 0, 0, 0),
    ]


def _load(register: int, offset: int) -> bytes:
    return _INSTRUCTION.pack(_LOAD_WORD, _registers(register, _CONTEXT), offset, 0)


def _alu(operation: int, register: int, value: int) -> bytes:
    return _INSTRUCTION.pack(_ALU32 | operation, _registers(register, 0), 0, value)


def _jump(operation: int, register: int, value: int, skip: int) -> bytes:
    """Skip some instructions if a comparison with 32 bits holds (BPF_JMP32, Linux 5.1)."""
    signed = value - 2**32 if value >= 2**31 else value
    return _INSTRUCTION.pack(_JMP32 | operation, _registers(register, 0), skip, signed)


def _always(skip: int) -> bytes:
    return _INSTRUCTION.pack(_JMP, 0, skip, 0)


def _registers(destination: int, source: int) -> int:
    little = sys.byteorder == "little"
    return destination | source << 4 if little else destination << 4 | source
