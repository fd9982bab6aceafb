"""Turns flags into a forked process (clone3(2)), and a pidfd into another process's descriptor."""

from __future__ import annotations

from dockyard.base.linux import door, foreign, signals
from dockyard.base.linux.callnumbers import NUMBERS
from dockyard.base.typed import NamedTuple

CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000
_SHARED = 0x00010F00  # CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD

# Other than the door's, it keeps the interpreter's lock: a child whose lock is held by a thread
# that it does not have would never run.
_interpreter = foreign.PyDLL(None, use_errno=True)
_fork_call = _interpreter.syscall
_fork_call.restype = foreign.c_long
_fork_call.argtypes = [foreign.c_long, foreign.c_void_p, foreign.c_size_t]


class CloneArguments(foreign.Structure):
    """``struct clone_args`` of clone3(2), as far as Linux 5.7 has it."""

    _fields_ = [
        (name, foreign.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size",
            "tls", "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


class Forked(NamedTuple):
    """What :func:`clone3` gives back."""

    pid: int
    """0 in the child."""
    pidfd: int
    """Close-on-exec; -1 without CLONE_PIDFD, and in the child."""


def clone3(flags: int, *, cgroup: int = -1) -> Forked:
    """fork(2) with namespaces and the rest: Linux 5.3; into a cgroup v2's descriptor: 5.7.

    Only in a process with one thread. With CLONE_PARENT the child is its parent's sibling. Raises
    ``OSError``. The child shares nothing: CLONE_VM and the like are refused.
    """
    if flags & _SHARED:
        raise ValueError(f"clone3: flags {flags:#x}: the child must share nothing")
    pidfd = foreign.c_int(-1)
    arguments = CloneArguments(flags=flags)
    if not flags & CLONE_PARENT:  # a sibling has its parent's exit signal
        arguments.exit_signal = signals.SIGCHLD
    if flags & CLONE_PIDFD:
        arguments.pidfd = foreign.addressof(pidfd)
    if cgroup >= 0:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup
    _interpreter.PyOS_BeforeFork()
    pid = int(_fork_call(NUMBERS["clone3"], foreign.byref(arguments), foreign.sizeof(arguments)))
    code = foreign.get_errno()
    if pid == 0:
        _interpreter.PyOS_AfterFork_Child()
        return Forked(0, -1)
    _interpreter.PyOS_AfterFork_Parent()
    result = door.failure("clone3", (arguments,), code) if pid < 0 else pid
    if door.recorder is not None:
        door.recorder("clone3", (arguments, foreign.sizeof(arguments)), result)
    if isinstance(result, OSError):
        raise result
    return Forked(pid, pidfd.value)


def getfd(pidfd: int, descriptor: int) -> int:
    """A copy of another process's descriptor, close-on-exec: pidfd_getfd(2), Linux 5.6."""
    return door.call("pidfd_getfd", pidfd, descriptor, 0)
