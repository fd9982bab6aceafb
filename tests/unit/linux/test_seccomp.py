"""Profiles become filters; what is wrong with one is an error, never a filter that allows more."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError
from dockyard.base.linux import seccomp, syscalls
from dockyard.base.oci.defaultspec import CAPABILITIES
from dockyard.base.oci.seccompdefault import default_profile


def test_the_filter_is_kept_and_found_again(tmp_path: Path, monkeypatch: Any) -> None:
    profile = default_profile(CAPABILITIES)
    first = seccomp.filter_for(profile, str(tmp_path))
    assert len(first) % 8 == 0
    assert struct.unpack_from("=II", first) == (0, len(first) // 8 - 1)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [len(first)]
    monkeypatch.setattr(seccomp, "compile_profile", None)
    assert seccomp.filter_for(profile, str(tmp_path)) == first


def test_another_profile_is_another_filter(tmp_path: Path) -> None:
    seccomp.filter_for(default_profile(CAPABILITIES), str(tmp_path))
    seccomp.filter_for(default_profile(()), str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"defaultAction": None},
        {"defaultAction": "SCMP_ACT_NOPE"},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "1"},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]},
        {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"},
        {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"},
        {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        },
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/x",
            "syscalls": [{"names": ["sendmsg"], "action": "SCMP_ACT_NOTIFY"}],
        },
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 3}],
        },
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                {
                    "names": ["read"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
    ],
    ids=range(17),
)
def test_a15_a_bad_profile_is_an_error(profile: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DockyardError, match="seccomp"):
        seccomp.filter_for(profile, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def under(profile: dict[str, Any], act: Callable[[], object]) -> str:
    """What comes of an act in a process under this filter: its errno, ``ok`` or a signal."""
    packed = seccomp.compile_profile(profile)
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.load(packed)
            try:
                act()
                os.write(into, b"ok")
            except OSError as error:
                os.write(into, errno.errorcode[error.errno or 0].encode())
        finally:
            os._exit(0)
    os.close(into)
    _, status = os.waitpid(pid, 0)
    said = os.read(out, 100).decode()
    os.close(out)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else said


def ruled(action: str, names: list[str], **more: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": action, **more}],
    }


# seccomp(2): what each action means for the caller
@pytest.mark.parametrize(
    ("action", "more", "result"),
    [
        ("SCMP_ACT_ERRNO", {}, "EPERM"),
        ("SCMP_ACT_ERRNO", {"errnoRet": errno.EXDEV}, "EXDEV"),
        ("SCMP_ACT_TRACE", {}, "ENOSYS"),  # there is no tracer
        ("SCMP_ACT_TRAP", {}, "SIGSYS"),
        ("SCMP_ACT_KILL", {}, "SIGSYS"),
        ("SCMP_ACT_KILL_THREAD", {}, "SIGSYS"),
        ("SCMP_ACT_KILL_PROCESS", {}, "SIGSYS"),
        ("SCMP_ACT_LOG", {}, "ok"),
        ("SCMP_ACT_ALLOW", {}, "ok"),
    ],
)
def test_actions(action: str, more: dict[str, Any], result: str) -> None:
    profile = ruled(action, ["getpriority"], **more)
    assert under(profile, lambda: os.getpriority(os.PRIO_PROCESS, 0)) == result


@pytest.mark.parametrize(
    ("operator", "value", "second", "refused"),
    [
        ("SCMP_CMP_EQ", 5, 0, {5}),
        ("SCMP_CMP_NE", 5, 0, {3, 4, 6, 7}),
        ("SCMP_CMP_LT", 5, 0, {3, 4}),
        ("SCMP_CMP_LE", 5, 0, {3, 4, 5}),
        ("SCMP_CMP_GT", 5, 0, {6, 7}),
        ("SCMP_CMP_GE", 5, 0, {5, 6, 7}),
        ("SCMP_CMP_MASKED_EQ", 6, 4, {4, 5}),  # (argument & value) == valueTwo
    ],
)
def test_arguments(operator: str, value: int, second: int, refused: set[int]) -> None:
    """The second argument of a call that fails with EBADF otherwise."""
    rule = {"index": 1, "value": value, "valueTwo": second, "op": operator}
    profile = ruled("SCMP_ACT_ERRNO", ["ftruncate"], args=[rule], errnoRet=errno.EXDEV)
    found = {n for n in range(3, 8) if under(profile, lambda n=n: os.ftruncate(999, n)) == "EXDEV"}
    assert found == refused


def test_several_arguments_are_all_of_them() -> None:
    args = [
        {"index": 0, "value": 999, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 7, "op": "SCMP_CMP_EQ"},
    ]
    profile = ruled("SCMP_ACT_ERRNO", ["ftruncate"], args=args, errnoRet=errno.EXDEV)
    assert under(profile, lambda: os.ftruncate(999, 7)) == "EXDEV"
    assert under(profile, lambda: os.ftruncate(998, 7)) == "EBADF"


def test_two_rules_for_one_argument_are_either_of_them() -> None:
    """As runc has it: a call whose argument were two numbers could not be."""
    args = [{"index": 1, "value": value, "op": "SCMP_CMP_EQ"} for value in (7, 9)]
    profile = ruled("SCMP_ACT_ERRNO", ["ftruncate"], args=args, errnoRet=errno.EXDEV)
    found = [under(profile, lambda n=n: os.ftruncate(999, n)) for n in (7, 8, 9)]
    assert found == ["EXDEV", "EBADF", "EXDEV"]


LIBC = ctypes.CDLL(None, use_errno=True)


def numbered(number: int) -> None:
    """syscall(2), as a C library that is newer than the profile makes it."""
    if LIBC.syscall(number, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "")


# What a profile does not name is refused; what it cannot have known fails as on an older kernel.
@pytest.mark.parametrize(
    ("call", "more", "result"),
    [
        (2000, {}, "ENOSYS"),
        (2000, {"defaultErrnoRet": errno.EXDEV}, "ENOSYS"),
        (140, {}, "EPERM"),  # getpriority on x86_64
        (140, {"defaultErrnoRet": errno.EXDEV}, "EXDEV"),
        (140, {"defaultErrnoRet": errno.ENOSYS}, "ENOSYS"),
        (2000, {"defaultAction": "SCMP_ACT_KILL_PROCESS"}, "ENOSYS"),
        (140, {"defaultAction": "SCMP_ACT_KILL_PROCESS"}, "SIGSYS"),
        (2000, {"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]}, "ENOSYS"),
        (0x4000_0000 + 140, {"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]}, "EPERM"),
        (0x4000_0000 + 140, {}, "SIGSYS"),  # of x32, which the profile has not
    ],
)
def test_calls_that_a_profile_does_not_name(call: int, more: dict[str, Any], result: str) -> None:
    names = ["write", "exit_group", "clone3", "prctl", "seccomp", "futex", "brk", "mmap", "munmap"]
    allowed = {"names": [*names, "landlock_restrict_self"], "action": "SCMP_ACT_ALLOW"}
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [allowed], **more}
    assert under(profile, lambda: numbered(call)) == result


@pytest.mark.parametrize(
    ("flags", "number"),
    [
        (["SECCOMP_FILTER_FLAG_LOG"], 2),
        (["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 4),
        (["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"], 3),
    ],
)
def test_flags_reach_the_kernel(flags: list[str], number: int) -> None:
    profile = {**ruled("SCMP_ACT_ERRNO", ["getpriority"]), "flags": flags}
    assert struct.unpack_from("=I", seccomp.compile_profile(profile)) == (number,)
    assert under(profile, lambda: os.getpriority(os.PRIO_PROCESS, 0)) == "EPERM"


@pytest.mark.parametrize("name", seccomp.ARCHITECTURES)
def test_architectures(name: str) -> None:
    profile = {**ruled("SCMP_ACT_ERRNO", ["getpriority"]), "architectures": [name]}
    try:
        assert len(seccomp.compile_profile(profile)) > 8
    except DockyardError as error:  # big and little endian do not mix; new ones, an old library
        assert name in str(error)


def test_somebody_is_asked() -> None:
    profile = ruled("SCMP_ACT_NOTIFY", ["getpriority"])
    packed = seccomp.compile_profile({**profile, "listenerPath": "/x"})
    assert struct.unpack_from("=I", packed) == (seccomp.NEW_LISTENER,)
