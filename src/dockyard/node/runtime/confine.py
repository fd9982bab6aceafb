"""Turns a process with every right into the one that a specification describes.

The order matters: what needs a right comes before the right goes. Nothing is imported and no name
is looked up here: the root is the container's already.
"""

from __future__ import annotations

import errno
import os
import resource

from dockyard.base import contexts
from dockyard.base.errors import Denied
from dockyard.base.linux import capabilities, seccomp, syscalls
from dockyard.base.linux.door import through
from dockyard.base.oci.runtimespec import Process, Spec
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.runtime.execution import NOT_EXECUTABLE, NOT_FOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Listening = Callable[[int], None]
    """Takes the descriptor on which somebody is asked about system calls; it is closed then."""

LIMITS = {
    name: getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}  # fmt: skip


def confine(
    process: Process, filter_program: bytes | None, container: str, listening: Listening
) -> None:
    """Give up every right that the process shall not have. ``container`` names its keyring; no
    name, and it keeps the one that it has."""
    _schedule(process)
    if container:
        _leave_keyring(container)
    for name, soft, hard in process.rlimits:
        _limit(name, soft, hard)
    through("umask", os.umask, 0o022 if process.umask is None else process.umask)
    entered = _enter(process.cwd)
    if not entered and process.uid == 0:
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    elif filter_program is not None:  # needs CAP_SYS_ADMIN, which is about to go
        _load(filter_program, listening)
    capabilities.set_bounding(process.bounding)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    _set_groups(process.groups, process.gid)
    through("setresgid", os.setresgid, process.gid, process.gid, process.gid)
    through("setresuid", os.setresuid, process.uid, process.uid, process.uid)
    own = capabilities.permitted()
    permitted = process.permitted & own
    capabilities.set_process(process.effective & permitted, permitted, process.inheritable & own)
    capabilities.set_ambient(process.ambient & permitted & process.inheritable)
    if not entered and not _enter(process.cwd):  # a folder of its user's, closed to root
        raise StartFailed(f"cwd: {process.cwd}: permission denied", NOT_EXECUTABLE)
    if process.no_new_privileges and filter_program is not None:
        _load(filter_program, listening)


def _load(filter_program: bytes, listening: Listening) -> None:
    listener = seccomp.load(filter_program)
    if listener >= 0:
        listening(listener)
        os.close(listener)


def _set_groups(groups: tuple[int, ...], own: int) -> None:
    """None can be changed in a user namespace whose single id an ordinary user has mapped."""
    try:
        through("setgroups", os.setgroups, groups)
    except PermissionError:
        if any(group != own for group in groups) or capabilities.effective() == 0:
            raise


def become_root() -> None:
    """Of the user namespace that this process has just entered: what it makes is its root's."""
    with contexts.suppress(PermissionError):  # where setgroups(2) is denied
        through("setgroups", os.setgroups, ())
    through("setresgid", os.setresgid, 0, 0, 0)
    through("setresuid", os.setresuid, 0, 0, 0)


def load_rare(process: Process, spec: Spec | None) -> None:
    """Import what this process is going to need, while the host's files can be read."""
    ours = process.scheduler is not None or process.io_priority is not None
    if ours or (spec and (spec.personality is not None or spec.memory_policy is not None)):
        from dockyard.base.linux import scheduling  # noqa: F401


def apply_domain(spec: Spec) -> None:
    """What is the container's, and not one process's."""
    if spec.personality is None and spec.memory_policy is None:
        return
    from dockyard.base.linux import scheduling

    if spec.personality is not None:
        scheduling.set_personality(spec.personality)
    if spec.memory_policy is not None:
        policy = spec.memory_policy
        _named("linux.memoryPolicy", lambda: scheduling.set_memory_policy(*policy))


def _schedule(process: Process) -> None:
    """What a scheduler refuses names the member that asked for it."""
    if process.scheduler is None and process.io_priority is None:
        return
    from dockyard.base.linux import scheduling

    if process.scheduler is not None:
        chosen = process.scheduler
        _named("process.scheduler", lambda: scheduling.set_scheduler(*chosen))
    if process.io_priority is not None:
        level = process.io_priority
        _named("process.ioPriority", lambda: scheduling.set_io_priority(*level))


def _named(member: str, act: Callable[[], None]) -> None:
    try:
        act()
    except OSError as error:
        raise type(error)(error.errno, f"{member}: {error}") from error


def _enter(cwd: str) -> bool:
    """Go to the working folder; whether this process may."""
    try:
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
    """oom_score_adj, in the host's procfs. It cannot be lowered without CAP_SYS_RESOURCE."""
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        through("write", os.write, descriptor, str(value).encode())
    except OSError as error:
        raise type(error)(
            error.errno, f"oomScoreAdj: {value}: {error.strerror}; lower needs CAP_SYS_RESOURCE"
        ) from error
    finally:
        os.close(descriptor)


def raise_limits(process: Process) -> None:
    """The hard limits that are above this process's: what is in a user namespace cannot do that."""
    for name, _, hard in process.rlimits:
        if name in LIMITS:
            soft, most = resource.getrlimit(LIMITS[name])
            wanted = resource.RLIM_INFINITY if hard == 2**64 - 1 else hard
            if most != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY
                                                   or wanted > most):  # fmt: skip
                with contexts.suppress(ValueError, OSError):  # it is said when it is set
                    resource.setrlimit(LIMITS[name], (soft, wanted))


def _limit(name: str, soft: int, hard: int) -> None:
    if name not in LIMITS:
        raise Denied(f"rlimit: {name!r}: unknown")
    unlimited = 2**64 - 1
    pair = tuple(resource.RLIM_INFINITY if value == unlimited else value for value in (soft, hard))
    try:
        through("prlimit64", resource.setrlimit, LIMITS[name], (pair[0], pair[1]))
    except (ValueError, OSError) as error:
        raise Denied(f"rlimit: {name}: {soft}:{hard}: {error}") from error
