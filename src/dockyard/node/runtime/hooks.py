"""Turns hooks into processes, one after the other, each with the container's state on its input.

config.md, "POSIX-platform Hooks". What a hook prints is for the error that names it.
"""

from __future__ import annotations

import os
import select

from dockyard.base import contexts, jsontext
from dockyard.base.linux import signals, syscalls
from dockyard.base.oci.hooks import Hook, Hooks
from dockyard.base.oci.runtimespec import Spec
from dockyard.base.typed import NamedTuple
from dockyard.interfaces.ociruntime import StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    Become = Callable[[Hook], None]
    """Executes a hook's program in the process that it has been given."""

LONGEST_OUTPUT = 2000
OWN, CHILDRENS = "/proc/self/ns/pid", "/proc/self/ns/pid_for_children"


class Identity(NamedTuple):
    """What a container's state says of it besides how it is doing (runtime.md, "State")."""

    container: str
    bundle: str
    version: str
    annotations: dict[str, str]


def identity(container: str, bundle: str, spec: Spec) -> Identity:
    """Of a container with this specification."""
    return Identity(container, bundle, spec.version or "1.2.0", spec.annotations)


def state(who: Identity, status: str, pid: int) -> bytes:
    """The state as JSON. ``pid`` is as whoever reads it sees it; 0: none."""
    document = {
        "ociVersion": who.version,
        "id": who.container,
        "status": status,
        **({"pid": pid} if pid else {}),
        "bundle": who.bundle,
        "annotations": who.annotations,
    }
    return jsontext.dumps(document).encode()


def run(hooks: Hooks, kind: str, said: bytes, become: Become | None = None) -> None:
    """Every hook of a kind. Raises :class:`StartFailed` naming the first that fails."""
    for index, hook in enumerate(hooks.get(kind, ())):
        _run(hook, f"hook {kind}[{index}]: {hook.path}", said, become or execute)


def run_outside(hooks: Hooks, kind: str, said: bytes, bundle: str) -> None:
    """As :func:`run`, in the namespaces of this process, whatever its children's would be."""
    if hooks.get(kind):
        with _own_pid_namespace():
            run(hooks, kind, said, lambda hook: _execute_in(bundle, hook))


class Errand(NamedTuple):
    """A process that runs hooks while this one goes on."""

    pid: int
    said: int
    """What it had to say, once it has ended with another status than 0."""

    def outcome(self, code: int) -> StartFailed | None:
        """After it has been reaped."""
        text = os.pread(self.said, 2 * LONGEST_OUTPUT, 0).decode(errors="replace")
        os.close(self.said)
        return StartFailed(text or f"hooks: ended with status {code}", 125) if code else None


def begin_outside(hooks: Hooks, kind: str, said: bytes, bundle: str) -> Errand:
    """As :func:`run_outside`, without waiting for it."""
    printed = _memory(b"")
    with _own_pid_namespace():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signals.set_wakeup_fd(-1)
                signals.signal(signals.SIGCHLD, signals.SIG_DFL)
                run_outside(hooks, kind, said, bundle)
                code = 0
            except BaseException as error:  # whatever it is: whoever waits must hear of it
                os.write(printed, str(error).encode())
            finally:
                os._exit(code)
    return Errand(pid, printed)


def execute(hook: Hook) -> None:
    """Become the hook's program."""
    os.execve(hook.path, hook.args, environment(hook))  # noqa: S606 - no shell is meant


def environment(hook: Hook, own: tuple[str, ...] | None = None) -> dict[str, str]:
    """The hook's variables; where none are given ``own``, or this process's."""
    chosen = own if hook.env is None else hook.env
    if chosen is None:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in chosen)


def _execute_in(folder: str, hook: Hook) -> None:
    with contexts.suppress(OSError):
        os.chdir(folder)
    execute(hook)


def _run(hook: Hook, what: str, said: bytes, become: Become) -> None:
    given, printed = _memory(said), _memory(b"")
    try:
        pid = os.fork()
        if pid == 0:
            _become(hook, given, printed, become)
        if not _ended(pid, hook.timeout):
            os.killpg(pid, signals.SIGKILL)
            os.waitpid(pid, 0)
            raise StartFailed(f"{what}: no end after {hook.timeout} s", 125)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            text = os.pread(printed, LONGEST_OUTPUT, 0).decode(errors="replace").strip()
            ended = f"exit status {code}" if code > 0 else f"signal {-code}"
            raise StartFailed(f"{what}: {ended}{text and f': {text}'}", 125)
    finally:
        os.close(given)
        os.close(printed)


def _memory(data: bytes) -> int:
    descriptor = os.memfd_create("hook")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _become(hook: Hook, given: int, printed: int, become: Become) -> NoReturn:
    try:
        signals.set_wakeup_fd(-1)
        os.setsid()  # what it starts ends with it when its time is over
        for target, descriptor in ((0, given), (1, printed), (2, printed)):
            os.dup2(descriptor, target)
        for number in range(1, signals.NSIG):
            with contexts.suppress(OSError, ValueError):
                signals.signal(number, signals.SIG_DFL)
        signals.pthread_sigmask(signals.SIG_SETMASK, ())
        become(hook)
    except OSError as error:
        os.write(2, f"{error.strerror}".encode())
    finally:
        os._exit(127)


def _ended(pid: int, seconds: int | None) -> bool:
    """Whether it has ended by then; it is not reaped."""
    if seconds is None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return True
    watched = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        return bool(poll.poll(min(seconds * 1000, 2**31 - 1)))
    finally:
        os.close(watched)


@contexts.contextmanager
def _own_pid_namespace() -> Iterator[None]:
    """This process's children are born in the container's, unless told otherwise."""
    if os.readlink(OWN) == _link(CHILDRENS):
        yield
        return
    opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (CHILDRENS, OWN)]
    try:
        syscalls.setns(opened[1], syscalls.CLONE_NEWPID)
        try:
            yield
        finally:
            with contexts.suppress(OSError):  # EINVAL: nobody is left in it
                syscalls.setns(opened[0], syscalls.CLONE_NEWPID)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:  # nobody has been born in it
        return ""
