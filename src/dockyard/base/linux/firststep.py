"""Turns a few machine instructions into a sealed executable file: what init becomes on its way.

A process that is about to execute a container's program must not be an interpreter of the host any
more: ``/proc/self/exe`` leads to the file that it runs, and an image can name that as its program
or as its script's interpreter (CVE-2019-5736). So init executes one of these first. They live in
memory, sealed against every change (memfd_create(2)); what leads to them leads nowhere else.

``RELAY``: argument 0 is a path, the others are the program's arguments. Descriptor 3 is made
close-on-exec and the program is executed; if the kernel refuses, errno goes to descriptor 3 as
four bytes in the machine's order. Without descriptor 3 (an image has named it once more) it ends.

``WAITING``: a relay that first takes one message from descriptor 3; the end of that is its own.

``PAUSE``: what a pod's sandbox runs. It blocks every signal and waits for them in turn: SIGCHLD
reaps children until none is left, SIGTERM and SIGINT end it, others are nothing to it.
"""

from __future__ import annotations

import os
import struct

from dockyard.base.errors import Unsupported
from dockyard.base.linux import memoryfile

RELAY = {
    "x86_64": (
        "b848000000bf03000000be02000000ba010000000f05"  # fcntl(3, F_SETFD, FD_CLOEXEC)
        "85c07831"  # below 0: go to end
        "488b0c24488b7c2408"  # mov rcx, [rsp] (argc); mov rdi, [rsp+8] (argv[0])
        "488d742410488d54cc10"  # lea rsi, [rsp+16] (argv+1); lea rdx, [rsp+rcx*8+16] (envp)
        "b83b0000000f05"  # execve
        "f7d850"  # neg eax; push rax
        "b801000000bf030000004889e6ba040000000f05"  # write(3, rsp, 4)
        "b8e7000000bf7e0000000f05"  # end: exit_group(126)
    ),
    "aarch64": (
        "280380d2600080d2410080d2220080d2010000d4"  # fcntl(3, F_SETFD, FD_CLOEXEC)
        "e001f837"  # below 0: go to end
        "e30340f9e00740f9"  # ldr x3, [sp] (argc); ldr x0, [sp, 8] (argv[0])
        "e1430091e2430091420c038b"  # x1 = sp+16 (argv+1); x2 = sp+16+argc*8 (envp)
        "a81b80d2010000d4"  # execve
        "e003004be00f1ff8"  # neg w0, w0; str x0, [sp, -16]!
        "080880d2600080d2e1030091820080d2010000d4"  # write(3, sp, 4)
        "c80b80d2c00f80d2010000d4"  # end: exit_group(126)
    ),
}
_WAIT = {
    "x86_64": (
        "b82d000000bf03000000488d742480ba010000004d31d24d31c04d31c90f05"  # recvfrom(3, rsp-128, 1)
        "ffc8754b"  # not 1: go to end
    ),
    "aarch64": (
        "e81980d2600080d2e10302d1220080d2030080d2040080d2050080d2010000d4"  # recvfrom(3, sp-128, 1)
        "1f0400f1a1020054"  # not 1: go to end
    ),
}
WAITING = {machine: _WAIT[machine] + code for machine, code in RELAY.items()}
PAUSE = {
    "x86_64": (
        "6aff"  # push -1: a mask of all signals
        "b80e000000bf020000004889e631d241ba080000000f05"  # rt_sigprocmask(SIG_SETMASK, rsp, 0, 8)
        "b8800000004889e731f631d241ba080000000f05"  # next: rt_sigtimedwait(rsp, 0, 0, 8)
        "83f811741383f80f740583f80275dd"  # 17: go to reap; neither 15 nor 2: go to next
        "b8e700000031ff0f05"  # exit_group(0)
        "b83d00000048c7c7ffffffff31f6ba010000004531d20f05"  # reap: wait4(-1, 0, WNOHANG, 0)
        "85c07fe4ebb6"  # above 0: go to reap; else: go to next
    ),
    "aarch64": (
        "00008092e00f1ff8"  # x0 = -1; str x0, [sp, -16]!
        "e81080d2400080d2e1030091020080d2030180d2010000d4"  # rt_sigprocmask(SIG_SETMASK, sp, 0, 8)
        "281180d2e0030091010080d2020080d2030180d2010000d4"  # next: rt_sigtimedwait(sp, 0, 0, 8)
        "1f440071000100541f3c0071600000541f080071a1feff54"  # 17: reap; neither 15 nor 2: next
        "c80b80d2000080d2010000d4"  # exit_group(0)
        "882080d200008092010080d2220080d2030080d2010000d4"  # reap: wait4(-1, 0, WNOHANG, 0)
        "1f0000712cffff54e9ffff17"  # above 0: go to reap; else: go to next
    ),
}
REPORT_DESCRIPTOR = 3
REPORT = struct.Struct("=i")

_MACHINES = {"x86_64": 62, "aarch64": 183}
_BASE = 0x400000
_HEADERS = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")


def reporting_to(descriptor: int) -> dict[str, str]:
    """``RELAY`` for a program that is given descriptors from 3 on: it reports to the one above."""
    number = descriptor.to_bytes(4, "little").hex()
    move = (0xD2800000 | descriptor << 5).to_bytes(4, "little").hex()  # mov x0, descriptor
    return {
        "x86_64": RELAY["x86_64"].replace("bf03000000", f"bf{number}"),
        "aarch64": RELAY["aarch64"].replace("600080d2", move),
    }


def sealed(programs: dict[str, str]) -> int:
    """A descriptor (close-on-exec) to execute, of the variant for this machine."""
    return memoryfile.sealed("dockyard", elf(programs, os.uname().machine), executable=True)


def elf(programs: dict[str, str], machine: str) -> bytes:
    """The smallest file that execve(2) takes: headers, one segment, a stack that is only data."""
    if machine not in programs:
        raise Unsupported(f"container init: {machine}: no program for this machine")
    code = bytes.fromhex(programs[machine])
    start = _HEADERS.size + 2 * _SEGMENT.size
    size = start + len(code)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADERS.pack(
        ident, 2, _MACHINES[machine], 1, _BASE + start, _HEADERS.size, 0, 0,
        _HEADERS.size, _SEGMENT.size, 2, 0, 0, 0,
    )  # fmt: skip
    load = _SEGMENT.pack(1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    stack = _SEGMENT.pack(0x6474E551, 6, 0, 0, 0, 0, 0, 16)
    return header + load + stack + code
