"""Turns a process with every right into the one that a specification describes.

The order matters: what needs a right comes before the right goes. Nothing is imported and no name
is looked up here: the root is the container's already.
"""

from __future__ import annotations

import errno
import os
import resource

from dockyard.base.errors import Denied
from dockyard.base.linux import capabilities, seccomp, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.runtimespec import Process
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.execution import NOT_EXECUTABLE, NOT_FOUND

LIMITS = {
    name: getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}  # fmt: skip


def confine(process: Process, filter_program: bytes | None, container: str) -> None:
    """Give up every right that the process shall not have."""
    _leave_keyring(container)
    for name, soft, hard in process.rlimits:
        _limit(name, soft, hard)
    through("umask", os.umask, 0o022 if process.umask is None else process.umask)
    if not _enter(process.cwd) and process.uid == 0:
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    elif filter_program is not None:  # needs CAP_SYS_ADMIN, which is about to go
        seccomp.load(filter_program)
    capabilities.set_bounding(process.bounding)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    through("setgroups", os.setgroups, process.groups)
    through("setresgid", os.setresgid, process.gid, process.gid, process.gid)
    through("setresuid", os.setresuid, process.uid, process.uid, process.uid)
    own = capabilities.permitted()
    permitted = process.permitted & own
    capabilities.set_process(process.effective & permitted, permitted, process.inheritable & own)
    capabilities.set_ambient(process.ambient & permitted & process.inheritable)
    if process.uid != 0 and not _enter(process.cwd):
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges and filter_program is not None:
        seccomp.load(filter_program)


def _enter(cwd: str) -> bool:
    """Go to the working folder, making it if it is missing; whether this process may."""
    try:
        try:
            through("chdir", os.chdir, cwd)
        except FileNotFoundError:
            os.makedirs(cwd, 0o755, exist_ok=True)
            through("chdir", os.chdir, cwd)
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


def _leave_keyring(container: str) -> None:
    """A session keyring of the container's own: the host's keys are out of reach."""
    try:
        syscalls.join_session_keyring(f"_ses.{container}")
    except OSError as error:
        if error.errno != errno.ENOSYS:  # a kernel without keys has none to protect
            raise


def set_oom_score(value: int) -> None:
    """oom_score_adj, in the host's procfs. It cannot be lowered without CAP_SYS_RESOURCE.

    A node that lacks that right (in a container or a small virtual machine) still runs its pods:
    such a process keeps the score that it has, as with containerd's restrict_oom_score_adj.
    """
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        through("write", os.write, descriptor, str(value).encode())
    except OSError as error:
        may = capabilities.permitted() >> capabilities.NUMBERS["CAP_SYS_RESOURCE"] & 1
        if error.errno != errno.EACCES or may:
            raise
    finally:
        os.close(descriptor)


def _limit(name: str, soft: int, hard: int) -> None:
    if name not in LIMITS:
        raise Denied(f"rlimit: {name!r}: unknown")
    unlimited = 2**64 - 1
    pair = tuple(resource.RLIM_INFINITY if value == unlimited else value for value in (soft, hard))
    try:
        through("prlimit64", resource.setrlimit, LIMITS[name], (pair[0], pair[1]))
    except (ValueError, OSError) as error:
        raise Denied(f"rlimit: {name}: {soft}:{hard}: {error}") from error
