"""Turns a process with every right into the one that a specification describes, and executes it.

The order matters: what needs a right comes before the right goes. Nothing is imported and no name
is looked up here: the root is the container's already.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal

from dockyard.base.errors import Denied
from dockyard.base.linux import capabilities, seccomp, syscalls
from dockyard.base.oci.runtimespec import Process
from dockyard.interfaces.ociruntime import StartFailed

NOT_FOUND, NOT_EXECUTABLE = 127, 126
LIMITS = {
    name: getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}  # fmt: skip
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def confine(process: Process, filter_program: bytes | None, keep: int) -> None:
    """Give up every right that the process shall not have. ``keep`` stays open until the exec."""
    syscalls.join_session_keyring("_ses.dockyard")
    for name, soft, hard in process.rlimits:
        _limit(name, soft, hard)
    os.umask(0o022 if process.umask is None else process.umask)
    _close_all_but(keep)
    if not _enter(process.cwd) and process.uid == 0:
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    elif filter_program is not None:  # needs CAP_SYS_ADMIN, which is about to go
        seccomp.load(filter_program)
    capabilities.set_bounding(process.bounding)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups(process.groups)
    os.setresgid(process.gid, process.gid, process.gid)
    os.setresuid(process.uid, process.uid, process.uid)
    own = capabilities.permitted()
    permitted = process.permitted & own
    capabilities.set_process(process.effective & permitted, permitted, process.inheritable & own)
    capabilities.set_ambient(process.ambient & permitted & process.inheritable)
    if process.uid != 0 and not _enter(process.cwd):
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges and filter_program is not None:
        seccomp.load(filter_program)


def execute(process: Process) -> None:
    """Become the program. Returns never; raises :class:`StartFailed` as shells number it."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    environment = dict(entry.split("=", 1) for entry in process.env)
    program = process.args[0]
    failure: OSError | None = None
    for candidate in _candidates(program, environment.get("PATH", DEFAULT_PATH)):
        try:
            os.execve(candidate, process.args, environment)  # noqa: S606 - no shell is meant
        except OSError as error:
            if failure is None or isinstance(failure, FileNotFoundError):
                failure = error
    if failure is None or isinstance(failure, FileNotFoundError):
        where = (
            "no such file or directory" if "/" in program else "executable file not found in $PATH"
        )
        raise StartFailed(f'exec: "{program}": {where}', NOT_FOUND)
    reason = (failure.strerror or str(failure)).lower()
    raise StartFailed(f'exec: "{program}": {reason}', NOT_EXECUTABLE)


def _candidates(program: str, path: str) -> list[str]:
    if "/" in program:
        return [program]
    return [f"{folder or '.'}/{program}" for folder in path.split(":")]


def _enter(cwd: str) -> bool:
    """Go to the working folder, making it if it is missing; whether this process may."""
    try:
        try:
            os.chdir(cwd)
        except FileNotFoundError:
            os.makedirs(cwd, 0o755, exist_ok=True)
            os.chdir(cwd)
    except PermissionError:
        return False
    except OSError as error:
        raise StartFailed(f"cwd: {cwd}: {error.strerror}", NOT_FOUND) from error
    try:
        inside = os.getcwd().startswith("/")
    except FileNotFoundError:  # getcwd(3): the folder is not below this process's root
        inside = False
    if not inside:
        raise Denied(f"cwd: {cwd}: lies outside the container's root")
    return True


def _limit(name: str, soft: int, hard: int) -> None:
    if name not in LIMITS:
        raise Denied(f"rlimit: {name!r}: unknown")
    unlimited = 2**64 - 1
    pair = tuple(resource.RLIM_INFINITY if value == unlimited else value for value in (soft, hard))
    try:
        resource.setrlimit(LIMITS[name], (pair[0], pair[1]))
    except (ValueError, OSError) as error:
        raise Denied(f"rlimit: {name}: {soft}:{hard}: {error}") from error


def _close_all_but(keep: int) -> None:
    if keep > 3:
        syscalls.close_range(3, keep - 1)
    syscalls.close_range(keep + 1)
