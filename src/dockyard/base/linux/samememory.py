"""Turns a process into two with one memory: the new one goes on, the old one only keeps it.

Who executes a program takes its memory apart first, page by page: 0.9 ms of an interpreter, and
nothing of the program runs before that. Where somebody else has the same memory, it is that one who
takes it apart, at its own end and on another processor. Nobody else may touch it meanwhile: so the
old one waits in a few machine instructions that use no stack, for the word that the kernel clears
when the new one lets go of the memory (clone(2), CLONE_CHILD_CLEARTID). It ends a little later:
see ``processors.LATER``.
"""

import _signal  # type: ignore[import-not-found] # not `signal`: see node/runtime/loop.py
import os
import struct

from dockyard.base.linux import foreign, memoryfile
from dockyard.base.linux.processors import LATER

CODE = {
    "x86_64": (
        "4989f14889f24989f231f6b8380000000f05"  # r9 = rdx = r10 = rsi; clone(rdi, 0, rsi, rsi)
        "85c07430"  # 0, the new one: go to end
        "4c89cf4d31d2"  # rdi = r9, r10 = 0: no timeout
        "8b1785d27409"  # next: edx = the word; 0: go to exit
        "b8ca0000000f05ebf1"  # futex(rdi, FUTEX_WAIT, edx, 0); go to next
        "4c8d151500000031d231f6b8ca0000000f05"  # exit: futex(rdi, FUTEX_WAIT, 0, time)
        "31ffb8e70000000f05"  # exit_group(0)
        "c3"  # end: ret
    ),
    "aarch64": (
        "e20301aae40301aae50301aae1031faae3031faa881b80d2010000d4"  # clone(x0, 0, x1, 0, x1)
        "40020034"  # 0, the new one: go to end
        "a20040b9e2000034"  # next: w2 = the word; 0: go to exit
        "e00305aae1031faae3031faa480c80d2010000d4f9ffff17"  # futex(x5, FUTEX_WAIT, w2, 0); next
        "e00305aae1031faae2031faae3000010480c80d2010000d4"  # exit: futex(x5, FUTEX_WAIT, 0, time)
        "e0031faac80b80d2010000d4"  # exit_group(0)
        "c0035fd6"  # end: ret
    ),
}
_TIME = struct.pack("=qq", 0, round(LATER * 1e9))
"""``struct timespec``: lies behind the code."""
_CLONE_VM, _CLONE_PARENT = 0x100, 0x8000
_CLONE_PARENT_SETTID, _CLONE_CHILD_CLEARTID = 0x100000, 0x200000
FLAGS = _CLONE_VM | _CLONE_PARENT | _CLONE_PARENT_SETTID | _CLONE_CHILD_CLEARTID
_EVERY_SIGNAL = _signal.valid_signals()
_word = foreign.c_int(0)
"""The pid of the new one, as the old one sees it, until it lets go of the memory."""


def part() -> int:
    """Returns in the new process, a sibling of this one: its pid as this one would see it. The old
    one does not return. Where there can be no new one, nobody does.

    Only in a process with one thread. What the two do not share is copied, as by fork(2): so this
    one should hold no descriptor whose end somebody waits for.
    """
    code = bytes.fromhex(CODE[os.uname().machine]) + _TIME
    descriptor = memoryfile.sealed("dockyard", code, executable=True)
    page = _map(descriptor, len(code))
    os.close(descriptor)
    # a handler would be called on a stack that is the new one's
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _EVERY_SIGNAL)
    # with the interpreter's lock: who goes on has it
    kind = foreign.PYFUNCTYPE(foreign.c_long, foreign.c_long, foreign.c_void_p)
    kind(page)(FLAGS, foreign.addressof(_word))
    _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    return _word.value


def _map(descriptor: int, size: int) -> int:
    library = foreign.PyDLL(None, use_errno=True)
    library.mmap.restype = foreign.c_void_p
    library.mmap.argtypes = [
        foreign.c_void_p,
        foreign.c_size_t,
        *[foreign.c_int] * 3,
        foreign.c_long,
    ]
    found = library.mmap(None, size, 1 | 4, 2, descriptor, 0)
    if found in (None, 2**64 - 1):
        raise OSError(foreign.get_errno(), f"mmap: {os.strerror(foreign.get_errno())}")
    return int(found)
