"""`create`: turns a bundle into a container whose program has not begun."""

from __future__ import annotations

from dockyard.base.errors import Unsupported
from dockyard.node.runtime.oci import container
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.report import Report
from dockyard.node.runtime.oci.verb import (
    BUNDLE,
    CONSOLE,
    ID,
    NO_KEYRING,
    NO_PIVOT,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE,
    Globals,
    Verb,
)

MAKING = f"""Where "{ID}" is the name that the new container gets. No other container of this
machine's with the same --root may have it."""


def options(found: Globals, values: Values) -> container.Options:
    """What the flags say of a new container or process."""
    if values.get("no-pivot"):
        raise Unsupported("--no-pivot: not implemented: the root is entered with pivot_root(2)")
    return container.Options(
        console_socket=values["console-socket"],
        pid_file=values["pid-file"],
        pidfd_socket=values.get("pidfd-socket") or "",
        preserved=values["preserve-fds"],
        systemd=found.systemd_cgroup,
        keyring=not values.get("no-new-keyring"),
        warn=Report(found).warning,
    )


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Make it."""
    chosen = options(found, values)
    container.create(found.root, arguments[0], values["bundle"] or ".", chosen)
    return 0


VERB = Verb(
    summary="create a container",
    usage=ID,
    act=act,
    text=MAKING,
    description="""Makes the container that a bundle describes: namespaces, control groups, mounts.
Its first process waits until "start" lets it execute the program of config.json.""",
    flags=(BUNDLE, CONSOLE, PID_FILE, PIDFD_SOCKET, NO_PIVOT, NO_KEYRING, PRESERVE),
    failed="create failed: ",
)
