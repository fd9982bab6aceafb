"""Turns what a verb is into a value: its words, its flags, and the function that does it."""

from __future__ import annotations

from dockyard.base.typed import NamedTuple
from dockyard.node.runtime.oci.flags import Flag, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "dockyard-oci"
SPEC_VERSION = "1.2.0"
ID = "<container-id>"
WHERE = f'Where "{ID}" is the name of a container.'


class Globals(NamedTuple):
    """What stands before the verb."""

    root: str
    log: str
    log_format: str
    debug: bool
    systemd_cgroup: bool
    rootless: str


class Verb(NamedTuple):
    """One verb of the command line."""

    summary: str
    usage: str
    act: Callable[[Globals, Values, list[str]], int]
    text: str = WHERE
    description: str = ""
    flags: tuple[Flag, ...] = ()
    least: int = 1
    most: int | None = 1
    ordered: bool = False
    """Flags end where the arguments begin: the rest is another program's."""
    failed: str = ""
    """What an error begins with."""
    code: int = 1
    """The exit code of an error."""


BUNDLE = Flag(
    ("bundle", "b"), "path to the bundle, the folder with config.json (default: where you are)"
)
CONSOLE = Flag(
    ("console-socket",),
    "path to an AF_UNIX socket that is sent the master of the process's terminal",
)
PID_FILE = Flag(("pid-file",), "file to write the process id to")
DETACH = Flag(("detach", "d"), "do not wait for the process to end", "switch", False)
PRESERVE = Flag(
    ("preserve-fds",),
    "pass N further descriptors to the process (the standard ones + $LISTEN_FDS + N in all)",
    "number", 0, "0",
)  # fmt: skip
PIDFD_SOCKET = Flag(
    ("pidfd-socket",), "path to an AF_UNIX socket that is sent a pidfd of the process"
)
NO_PIVOT = Flag(
    ("no-pivot",), "not supported: the root is always entered with pivot_root(2)", "switch", False
)
NO_KEYRING = Flag(
    ("no-new-keyring",), "keep the caller's session keyring instead of a new one", "switch", False
)
NO_SUBREAPER = Flag(
    ("no-subreaper",), "do not reap processes that the container leaves behind", "switch", False
)
