"""Turns a container's specification into a running one: what engine, builder and CRI may ask for.

Synchronous and light to import: hot verbs load it. Two phases, as the OCI runtime specification has
them: ``create`` makes the namespaces and leaves the container's init waiting, so that the caller
can set up its network through ``/proc/<pid>/ns/net``; ``start`` lets it execute the program.
"""

from __future__ import annotations

from dockyard.base.typed import NamedTuple, Protocol
from dockyard.interfaces.startfailed import StartFailed as StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


PAUSE_ANNOTATION = "dockyard.io/pause"
"""``"true"``: no program is executed; init is the runtime's own pause loop, which reaps."""

CONSOLE_ANNOTATION = "dockyard.io/console"
"""``"true"``: the terminal is a system's console. It is nobody's controlling terminal until one of
the programs that the init starts takes it."""

STDOUT, STDERR = 1, 2


class Log(NamedTuple):
    """Where a container's output is kept."""

    path: str
    kind: str
    """``json-file`` (Docker's) or ``cri`` (the CRI's)."""
    max_bytes: int = 0
    """A log that grows beyond is rotated; 0: never."""
    max_files: int = 1
    attributes: str = ""
    """JSON that each line of a json-file has as its ``attrs``; empty: none."""


class Overlay(NamedTuple):
    """A root made of read-only directories, topmost first, under one that takes the changes."""

    lower: tuple[str, ...]
    upper: str
    work: str
    driver: str = "overlay2"
    """``overlay2`` (the kernel's), ``fuse-overlayfs`` or ``native``: all is in ``upper``, which is
    the root itself."""
    volatile: bool = False
    """The changes need not outlast a loss of power: nobody waits for the disk."""


class HealthCheck(NamedTuple):
    """A command that says by its exit code whether the program does its work. Seconds."""

    process: Mapping[str, Any]
    """An OCI ``process``."""
    interval: float
    timeout: float
    retries: int
    start_period: float
    start_interval: float


class Launch(NamedTuple):
    """Everything that a runtime needs to make a container."""

    id: str
    spec: Mapping[str, Any]
    """The OCI runtime configuration (config.json)."""
    state_dir: str
    """Kept over a reboot; gets ``exit.json``."""
    run_dir: str
    """Gone after a reboot; gets ``monitor.sock`` and ``state.json``."""
    rootfs: Overlay | None = None
    """None: ``root.path`` of the specification is the root itself."""
    log: Log | None = None
    open_stdin: bool = False
    """Whether clients may write to the program's standard input; else it is /dev/null."""
    stdin_once: bool = False
    """Close standard input when the first client that had it leaves."""
    on_exit: tuple[str, ...] = ()
    """A command that the monitor executes when the container has ended."""
    health: HealthCheck | None = None
    """Its results are in ``health.json`` of ``state_dir``."""
    runtime: str = ""
    """Another runtime's program, which makes the container; empty: the runtime's own code."""


class State(NamedTuple):
    """What a container is doing."""

    status: str
    """``created``, ``running``, ``paused`` or ``stopped``, as the OCI runtime specification."""
    pid: int
    """Of init, in the caller's pid namespace; 0 when stopped."""
    started: float = 0.0
    """When the program was executed, in seconds since the epoch; 0 before."""


class Exit(NamedTuple):
    """How a container ended."""

    code: int
    """The program's exit status, or 128 + the signal that ended it."""
    oom_killed: bool
    finished: float
    """Seconds since the epoch."""


class Usage(NamedTuple):
    """What a container's control group has used. Bytes, and nanoseconds of processor time."""

    cpu: int = 0
    memory: int = 0
    """Without page cache that nobody has looked at for long (``inactive_file``)."""
    memory_limit: int = 0
    """0: none."""
    read: int = 0
    written: int = 0
    """From and to block devices."""
    pids: int = 0


class Frame(NamedTuple):
    """A piece of output."""

    stream: int
    """``STDOUT`` or ``STDERR``."""
    data: bytes


class Stream(Protocol):
    """The standard streams of a container or of a command in it."""

    def fileno(self) -> int:
        """Becomes readable when :meth:`read` has something."""

    def read(self) -> Frame | None:
        """The next piece of output; None when the streams have ended."""

    def write(self, data: bytes) -> None:
        """To standard input; waits while the program does not read."""

    def close_stdin(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def signal(self, number: int) -> None:
        """To the process whose streams these are."""

    def exit_code(self) -> int | None:
        """Known once :meth:`read` has returned None; None where the caller was cut off."""

    def close(self) -> None: ...


class Runtime(Protocol):
    """A way to run containers. ``run_dir`` is the one that :class:`Launch` named."""

    def forks(self) -> bool:
        """Whether the next ``create`` forks this process: what must not cross that is closed."""

    def create(self, launch: Launch, *, attach: bool = False) -> tuple[int, Stream | None]:
        """Make the container, its init waiting: init's pid, and its streams if asked for.

        Raises :class:`StartFailed` (and leaves nothing behind).
        """

    def start(self, run_dir: str) -> None:
        """Let init execute the program. Raises :class:`StartFailed`."""

    def state(self, run_dir: str) -> State: ...

    def states_of(self, run_dirs: Sequence[str]) -> list[State | None]:
        """Of many containers, asked at once; None where there is no answer."""

    def attach(self, run_dir: str) -> Stream: ...

    def exec(
        self, run_dir: str, process: Mapping[str, Any], *, stdin: bool, detach: bool = False
    ) -> Stream:
        """Run another command (an OCI ``process``) inside. Raises :class:`StartFailed`.

        A detached command's output is dropped; its stream still brings the exit code, and may be
        closed before.
        """

    def signal(self, run_dir: str, number: int, *, everyone: bool = False) -> None:
        """To init, or to every process of the container."""

    def resize(self, run_dir: str, rows: int, columns: int) -> None: ...

    def wait(self, run_dir: str, state_dir: str, seconds: float | None) -> Exit | None:
        """How the container ended; None when it still runs after that time."""

    def exit(self, state_dir: str) -> Exit | None:
        """How the container ended, if it has and somebody saw it."""

    def reopen_log(self, run_dir: str) -> None:
        """Somebody has moved the log away: go on in a new file of the same name."""

    def watch(self, run_dir: str, on_exit: tuple[str, ...]) -> None:
        """Execute another command (none: empty) than :class:`Launch` says when it has ended."""

    def update(self, cgroup: str, resources: Mapping[str, Any]) -> None:
        """Write other limits: ``linux.resources`` of the OCI runtime configuration."""

    def usage(self, cgroup: str) -> Usage:
        """What it has used; zeros where the group is gone."""

    def processes(self, cgroup: str) -> list[int]:
        """Pids of all its processes, in the caller's pid namespace."""

    def pause(self, cgroup: str) -> None: ...

    def resume(self, cgroup: str) -> None: ...

    def delete(self, run_dir: str, cgroup: str, tree: str = "") -> None:
        """Kill what is left of the container and remove what the runtime made. Idempotent.

        ``tree``: the root of one without a mount namespace: all that is mounted there goes too.
        """
