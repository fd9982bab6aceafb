"""Turns a program's name into the file that is executed, and the kernel's refusal into an error.

Exit codes are the shell's (and Docker's): 127, no such program; 126, it cannot be executed; 125,
something else failed before.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` makes enumerations of what it returns
import _socket
import errno
import fcntl
import os
import stat
from _socket import socket as Plain

from dockyard.base import contexts
from dockyard.base.linux import door, firststep, signals, syscalls
from dockyard.base.oci.runtimespec import Process
from dockyard.interfaces.ociruntime import StartFailed

NOT_FOUND, NOT_EXECUTABLE, FAILED = 127, 126, 125
LARGEST_PASSWD = 1 << 20
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str, path: str) -> str:
    """The first file of that name which this process may execute, as execvp(3) looks for it."""
    if "/" in program:
        refused = _refused(program)
        if refused:
            raise refusal(program, refused)
        return program
    worst = 0
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{program}"
        refused = _refused(candidate)
        if not refused:
            return candidate
        worst = refused if refused == errno.EACCES else worst
    if worst:
        raise refusal(program, worst)
    raise StartFailed(f'exec: "{program}": executable file not found in $PATH', NOT_FOUND)


def look_up(process: Process) -> str:
    """The file that this process is going to execute."""
    paths = [entry[5:] for entry in process.env if entry.startswith("PATH=")]
    return find(process.args[0], paths[-1] if paths else DEFAULT_PATH)


def _refused(path: str) -> int:
    """0, or the errno that execve(2) would have for a file like this."""
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno or errno.ENOENT
    return 0 if stat.S_ISREG(found.st_mode) and _may_execute(path) else errno.EACCES


def _may_execute(path: str) -> bool:
    """A seccomp profile that is in force already may allow access(2), and not faccessat2(2)."""
    return os.access(path, os.X_OK, effective_ids=True) or os.access(path, os.X_OK)


def refusal(program: str, code: int) -> StartFailed:
    """What the kernel's refusal to execute a program means to whoever started it."""
    missing = code in (errno.ENOENT, errno.ENOTDIR)
    text = f'exec: "{program}": {os.strerror(code).lower()}'
    return StartFailed(text, NOT_FOUND if missing else NOT_EXECUTABLE)


def prepare(programs: dict[str, str], sync: Plain, preserved: int = 0) -> tuple[Plain, str | int]:
    """Close every descriptor but the standard streams, ``preserved`` ones that follow them, the
    socket and the first step.

    Returns the socket, where the relay expects it, and what to execute: a path below /proc if
    there is one (a seccomp profile may allow execve(2) without execveat(2)), else a descriptor.
    """
    report = firststep.REPORT_DESCRIPTOR + preserved
    first = report + 1
    if preserved and programs is firststep.RELAY:
        programs = firststep.reporting_to(report)
    step = _move(firststep.sealed(programs), first + 1)
    said = _move(sync.detach(), first + 1)
    os.dup2(said, report, inheritable=False)
    os.dup2(step, first, inheritable=False)
    for descriptor in range(firststep.REPORT_DESCRIPTOR, report):
        os.set_inheritable(descriptor, True)
    _close_from(first + 1)
    sync = _socket.socket(fileno=report)
    path = f"/proc/self/fd/{first}"
    with contexts.suppress(OSError):
        if os.path.samestat(os.stat(path), os.fstat(first)):
            return sync, path
    return sync, first


def _close_from(first: int) -> None:
    if door.descriptor >= first:
        if door.descriptor > first:
            syscalls.close_range(first, door.descriptor - 1)
        first = door.descriptor + 1
    syscalls.close_range(first)


def _move(descriptor: int, lowest: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(descriptor)
    return moved


def relay(process: Process, step: str | int, report: int = firststep.REPORT_DESCRIPTOR) -> None:
    """Become the program, by way of the relay. Returns never."""
    environment = variables(process)
    program = look_up(process)
    _reset_signals()
    os.set_inheritable(report, True)
    _execute(step, (program, *process.args), environment)


def variables(process: Process) -> dict[str, str]:
    """Its environment, with a HOME in any case."""
    environment = dict(entry.split("=", 1) for entry in process.env)
    if not environment.get("HOME"):
        environment["HOME"] = _home(process.uid)
    return environment


def _home(uid: int) -> str:
    """A user's folder as the container's /etc/passwd has it: what runc and crun set."""
    for line in _passwd().split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == str(uid).encode() and fields[5]:
            return os.fsdecode(fields[5])
    return "/"


def _passwd() -> bytes:
    """The container's own file, if it is one."""
    try:
        descriptor = os.open("/etc/passwd", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, LARGEST_PASSWD) if regular else b""
    finally:
        os.close(descriptor)


def execute_through(
    step: str | int, path: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Become a file of the container's by way of the relay, in a fork of its own.

    What cannot be executed is an ``OSError``, or status 126 of the relay.
    """
    if refused := _refused(path):
        raise OSError(refused, os.strerror(refused))
    os.dup2(2, firststep.REPORT_DESCRIPTOR)
    os.execve(step, (path, *arguments), environment)  # noqa: S606


def pause(step: str | int) -> None:
    """Become the pause loop. Returns never."""
    _reset_signals()
    _execute(step, ("pause",), {})


def _execute(step: str | int, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    name = "execve" if isinstance(step, str) else "execveat"
    door.last(name, os.execve, step, arguments, environment)


def _reset_signals() -> None:
    """Those that are ignored: handlers end with the exec."""
    for number in range(1, signals.NSIG):
        if _signal.getsignal(number) == signals.SIG_IGN:
            signals.signal(number, signals.SIG_DFL)
    signals.pthread_sigmask(signals.SIG_SETMASK, ())
