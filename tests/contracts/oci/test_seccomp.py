"""linux.seccomp: config-linux.md, "Seccomp"."""

from __future__ import annotations

import errno
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from helpers.ociruntime import Oci, mount

pytestmark = pytest.mark.root

CHMOD = ["chmod", "fchmod", "fchmodat", "fchmodat2"]


def profile(action: str, **rule: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"][:1],
        "syscalls": [{"names": CHMOD, "action": action, **rule}],
    }


@pytest.mark.parametrize("privileges", [True, False])
@pytest.mark.parametrize(
    ("rule", "said"),
    [({}, "not permitted"), ({"errnoRet": 28}, "No space left")],
    ids=["EPERM", "ENOSPC"],
)
def test_a_call_is_refused(oci: Oci, rule: dict[str, Any], said: str, privileges: bool) -> None:
    oci.linux["seccomp"] = profile("SCMP_ACT_ERRNO", **rule)
    done = oci.run("chmod", "700", "/tmp", check=False, noNewPrivileges=privileges)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("action", "number"),
    [("SCMP_ACT_KILL", 31), ("SCMP_ACT_KILL_PROCESS", 31), ("SCMP_ACT_TRAP", 31)],
)
def test_a_call_ends_the_process(oci: Oci, action: str, number: int) -> None:
    oci.linux["seccomp"] = profile(action)
    out = oci.out("sh", "-c", "sh -c 'chmod 700 /tmp'; echo $?")
    assert out.split()[-1] == str(128 + number)


def test_a_call_with_an_argument(oci: Oci) -> None:
    oci.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{
            "names": ["kill"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
        }],
    }  # fmt: skip
    out = oci.out("sh", "-c", "kill -0 $$ && echo may; kill -10 $$ || echo not")
    assert out.split() == ["may", "not"]


WORKING: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
        {"names": [line], "action": "SCMP_ACT_ALLOW"}
        for line in """access arch_prctl brk close clone clone3 chdir dup dup2 dup3 execve
            execveat exit exit_group faccessat faccessat2 fcntl fstat futex getcwd getdents64
            getegid geteuid getgid getpid getppid getrandom getuid ioctl lseek mmap mprotect munmap
            newfstatat open openat pipe pipe2 prctl pread64 prlimit64 read readlink readlinkat rseq
            rt_sigaction rt_sigprocmask rt_sigreturn set_robust_list set_tid_address stat statx
            uname vfork wait4 waitid write writev capget capset setuid setgid setgroups setresuid
            setresgid umask sigaltstack epoll_create1 epoll_ctl epoll_pwait gettid tgkill nanosleep
            sched_getaffinity sched_yield fchdir getpgrp setpgid fstatfs statfs eventfd2 close_range
            clock_gettime clock_nanosleep madvise getrlimit setrlimit poll ppoll kill""".split()
    ],
}
"""What a shell needs, and nothing else."""


def test_the_default_action(oci: Oci) -> None:
    oci.linux["seccomp"] = WORKING
    out = oci.out("sh", "-c", "echo works; mkdir /tmp/x 2>/dev/null || echo refused")
    assert out.split() == ["works", "refused"]


def calling(number: int) -> bytes:
    """A program whose exit code is the errno of a system call, or 0: elf(5), for x86_64."""
    code = (
        b"\xb8" + number.to_bytes(4, "little") + b"\x0f\x05"  # mov eax, number; syscall
        b"\xf7\xd8\x89\xc7\xb8\x3c\0\0\0\x0f\x05"  # neg eax; mov edi, eax; exit(edi)
    )  # fmt: skip
    start, head = 0x400000, 64 + 56
    size = head + len(code)
    entry = (2, 62, 1, start + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    file = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", *entry)
    file += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096)
    return file + code


@pytest.mark.parametrize(("number", "code"), [(140, errno.EPERM), (2000, errno.ENOSYS)])
def test_calls_that_a_profile_does_not_name(
    runclike: Oci, tmp_path: Path, number: int, code: int
) -> None:
    """What is newer than all that it names fails as on an older kernel: getpriority(2), and one
    that no kernel has."""
    program = tmp_path / "program"
    program.write_bytes(calling(number))
    program.chmod(0o755)
    runclike.spec["mounts"].append(mount("/program", "bind", str(program), "bind"))
    runclike.linux["seccomp"] = {**WORKING, "architectures": ["SCMP_ARCH_X86_64"]}
    assert runclike.run("/program", check=False).returncode == code


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_NONE"},
        {"architectures": ["SCMP_ARCH_NONE"]},
        {"syscalls": [{"names": ["chmod"], "action": "no"}]},
        {"syscalls": [{"names": ["chmod"], "action": "SCMP_ACT_ERRNO",
                       "args": [{"index": 0, "value": 1, "op": "no"}]}]},
    ],
    ids=["action", "architecture", "rule", "operator"],
)  # fmt: skip
def test_a_profile_that_is_none(runclike: Oci, change: dict[str, Any]) -> None:
    runclike.linux["seccomp"] = {**profile("SCMP_ACT_ERRNO"), **change}
    done = runclike.run("true", check=False)
    assert done.returncode == 1


def test_calls_that_no_kernel_has_are_left_out(oci: Oci) -> None:
    oci.linux["seccomp"] = profile("SCMP_ACT_ERRNO")
    oci.linux["seccomp"]["syscalls"][0]["names"].append("a_call_of_tomorrow")
    assert oci.out("echo", "runs") == "runs\n"


def test_somebody_is_asked(oci: Oci, tmp_path: Path) -> None:
    """SCMP_ACT_NOTIFY: the agent gets the descriptor and the container's state."""
    path = tmp_path / "agent"
    oci.linux["seccomp"] = {
        **profile("SCMP_ACT_NOTIFY"), "listenerPath": str(path), "listenerMetadata": "mine",
    }  # fmt: skip
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        agent.listen()
        agent.settimeout(20)
        oci.up(noNewPrivileges=True)
        peer, _ = agent.accept()
        with peer:
            data, descriptors, _, _ = socket.recv_fds(peer, 65536, 1)
            while True:
                try:
                    said = json.loads(data)
                    break
                except ValueError:
                    data += peer.recv(65536)
    assert len(descriptors) == 1
    assert said["fds"] == ["seccompFd"]
    assert said["metadata"] == "mine"
    assert said["state"]["id"] == oci.id
    oci("delete", "--force", oci.id)


def test_nobody_is_there_to_ask(runclike: Oci) -> None:
    runclike.linux["seccomp"] = {**profile("SCMP_ACT_NOTIFY"), "listenerPath": "/no/such"}
    done = runclike.run("true", check=False)
    assert done.returncode == 1
