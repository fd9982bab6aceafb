"""Turns a seccomp profile (``linux.seccomp`` of the OCI runtime specification) into a filter.

libseccomp compiles it; the compiled program is kept in a file named by the profile's hash, because
compiling costs more than the rest of a container's start.
"""

from __future__ import annotations

import ctypes
import json
import os
from _blake2 import blake2b  # hashlib loads OpenSSL, which every monitor would carry
from typing import Any

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux.door import call

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000, "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
OPERATORS = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip
ARCHITECTURES = {
    "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_ARM": 0x40000028, "SCMP_ARCH_AARCH64": 0xC00000B7,
}  # fmt: skip
NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

_EEXIST = 17
_ATTRIBUTE_OPTIMISE = 8
_SECCOMP_SET_MODE_FILTER = 1
_EPERM = 1
CACHE_VERSION = b"1"


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_for(profile: dict[str, Any], cache: str) -> bytes:
    """The BPF program of a profile, from the cache folder if it is there."""
    text = json.dumps(profile).encode()
    digest = blake2b(CACHE_VERSION + os.uname().machine.encode() + text, digest_size=32).hexdigest()
    path = f"{cache}/{digest}.bpf"
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        program = compile_profile(profile)
    os.makedirs(cache, 0o700, exist_ok=True)
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "wb") as file:
        file.write(program)
    os.replace(fresh, path)
    return program


def load(program: bytes) -> None:
    """Put this thread under the filter: seccomp(2). Needs no_new_privs or CAP_SYS_ADMIN."""
    packed = _Program(len(program) // 8, program)
    call("seccomp", _SECCOMP_SET_MODE_FILTER, 0, packed)


def compile_profile(profile: dict[str, Any]) -> bytes:
    """The profile as BPF. Raises :class:`Invalid` for what it does not allow; never unconfined."""
    for field in ("flags", "listenerPath"):
        if profile.get(field):
            raise Unsupported(f"config: linux.seccomp.{field}: not implemented")
    library = _library()
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    if not context:
        raise Invalid(f"config: linux.seccomp.defaultAction: {profile.get('defaultAction')!r}")
    try:
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMISE, ctypes.c_uint32(2))
        for name in profile.get("architectures") or ():
            if name not in ARCHITECTURES:
                raise Invalid(f"config: linux.seccomp.architectures: {name!r}: unknown")
            code = library.seccomp_arch_add(context, ctypes.c_uint32(ARCHITECTURES[name]))
            if code not in (0, -_EEXIST):
                raise Invalid(f"config: linux.seccomp.architectures: {name}: {os.strerror(-code)}")
        for index, rule in enumerate(profile.get("syscalls") or ()):
            _add_rule(library, context, rule, default, f"config: linux.seccomp.syscalls[{index}]")
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise Unsupported(
            "seccomp: libseccomp.so.2 is not installed; install libseccomp2"
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def _action(name: Any, number: Any) -> int:
    if name not in ACTIONS:
        raise Invalid(f"config: linux.seccomp: action {name!r}; one of {', '.join(ACTIONS)}")
    if name not in WITH_ERRNO:
        return ACTIONS[name]
    chosen = _EPERM if number is None else number
    if not isinstance(chosen, int) or not 0 <= chosen <= 0xFFFF:
        raise Invalid(f"config: linux.seccomp: errnoRet {chosen!r}: not between 0 and 65535")
    return ACTIONS[name] | chosen


def _add_rule(
    library: ctypes.CDLL, context: ctypes.c_void_p, rule: dict[str, Any], default: int, where: str
) -> None:
    action = _action(rule.get("action"), rule.get("errnoRet"))
    if action == default:
        return
    comparisons = [_comparison(argument, where) for argument in rule.get("args") or ()]
    packed = (_Comparison * len(comparisons))(*comparisons)
    for name in rule.get("names") or ():
        number = library.seccomp_syscall_resolve_name(str(name).encode())
        if number == -1:  # a call that this libseccomp does not know cannot be allowed by it
            continue
        code = library.seccomp_rule_add_array(
            context, ctypes.c_uint32(action), number, len(comparisons), packed
        )
        if code not in (0, -_EEXIST):
            raise Invalid(f"{where}: {name}: {os.strerror(-code)}")


def _comparison(argument: dict[str, Any], where: str) -> _Comparison:
    try:
        operator = OPERATORS[argument["op"]]
        index, value = int(argument["index"]), int(argument["value"])
        second = int(argument.get("valueTwo") or 0)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"{where}.args: {argument!r}: {error}") from error
    if not 0 <= index <= 5:
        raise Invalid(f"{where}.args: index {index}: a system call has six arguments")
    return _Comparison(index, operator, value, second)


def _export(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        code = library.seccomp_export_bpf(context, descriptor)
        if code:
            raise Unsupported(f"seccomp: libseccomp cannot export: {os.strerror(-code)}")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
