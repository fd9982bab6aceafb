"""Turns programs for the kernel's virtual machine into filters of a control group: bpf(2).

Device programs only (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15). Numbers are those of linux/bpf.h.
"""

from __future__ import annotations

import errno

from dockyard.base.linux import foreign
from dockyard.base.linux.door import call

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_MOST_PROGRAMS = 64
"""The kernel attaches no more to one group (BPF_CGROUP_MAX_PROGS)."""
_LOG_BYTES = 65536


class _Load(foreign.Structure):
    _fields_ = [
        ("prog_type", foreign.c_uint32), ("insn_cnt", foreign.c_uint32),
        ("insns", foreign.c_uint64), ("license", foreign.c_uint64),
        ("log_level", foreign.c_uint32), ("log_size", foreign.c_uint32),
        ("log_buf", foreign.c_uint64),
    ]  # fmt: skip


class _Attach(foreign.Structure):
    _fields_ = [(name, foreign.c_uint32) for name in ("target", "program", "type", "flags")]


class _Query(foreign.Structure):
    _fields_ = [
        ("target", foreign.c_uint32), ("type", foreign.c_uint32), ("query_flags", foreign.c_uint32),
        ("attach_flags", foreign.c_uint32), ("ids", foreign.c_uint64), ("count", foreign.c_uint32),
    ]  # fmt: skip


class _ById(foreign.Structure):
    _fields_ = [(name, foreign.c_uint32) for name in ("id", "next", "flags")]


def load_device_program(instructions: bytes) -> int:
    """A descriptor of the program. The error has what the kernel's verifier says of it."""
    code = foreign.create_string_buffer(instructions, len(instructions))
    terms = foreign.create_string_buffer(b"Apache-2.0")
    request = _Load(
        _TYPE_CGROUP_DEVICE, len(instructions) // 8, foreign.addressof(code),
        foreign.addressof(terms), 0, 0, 0,
    )  # fmt: skip
    try:
        return _bpf(_PROG_LOAD, request)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
        log = foreign.create_string_buffer(_LOG_BYTES)
        request.log_level, request.log_size = 1, _LOG_BYTES
        request.log_buf = foreign.addressof(log)
        try:
            return _bpf(_PROG_LOAD, request)
        except OSError as again:
            said = log.value.decode(errors="replace").strip().splitlines()[-3:]
            raise OSError(again.errno, f"{again.strerror}: {' '.join(said)}") from None


def attach_device_program(group: int, program: int) -> None:
    """Ask the program too, beside those that are attached to the group: each has to allow."""
    request = _Attach(group, program, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
    _bpf(_PROG_ATTACH, request)


def detach_device_program(group: int, program: int) -> None:
    """Ask it no more."""
    _bpf(_PROG_DETACH, _Attach(group, program, _ATTACH_CGROUP_DEVICE, 0))


def device_programs(group: int) -> list[int]:
    """Descriptors of the programs attached to a group, which the caller closes."""
    ids = (foreign.c_uint32 * _MOST_PROGRAMS)()
    request = _Query(group, _ATTACH_CGROUP_DEVICE, 0, 0, foreign.addressof(ids), _MOST_PROGRAMS)
    _bpf(_PROG_QUERY, request)
    return [_bpf(_PROG_GET_FD_BY_ID, _ById(ids[index])) for index in range(request.count)]


def _bpf(command: int, request: foreign.Structure) -> int:
    return call("bpf", command, request, foreign.sizeof(request))
