"""`run`: turns a bundle into a running container, and its end into an exit code."""

from __future__ import annotations

from dockyard.node.runtime.oci import container, foreground
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import (
    BUNDLE,
    CONSOLE,
    DETACH,
    ID,
    NO_KEYRING,
    NO_PIVOT,
    NO_SUBREAPER,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE,
    Globals,
    Verb,
)
from dockyard.node.runtime.oci.verbs.create import MAKING, options


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Make it, start it, and wait for its end unless it is detached."""
    chosen = options(found, values)
    bundle, waits = values["bundle"] or ".", not values["detach"]
    if not waits:
        container.start(found.root, container.create(found.root, arguments[0], bundle, chosen))
        return 0
    with foreground.Foreground(subreaper=not values["no-subreaper"]) as front:
        made = container.create(found.root, arguments[0], bundle, chosen, front)
        try:
            container.start(found.root, made)
            code = front.wait(made.pid)
        finally:
            if not values["keep"]:
                container.delete(found.root, made, force=True, warn=chosen.warn)
    return code


VERB = Verb(
    summary="create and run a container",
    usage=ID,
    act=act,
    text=MAKING,
    description="""Makes the container that a bundle describes and starts its program. Signals are
passed on to it; when it has ended the container is deleted and its exit code is this command's.""",
    flags=(
        BUNDLE, CONSOLE, DETACH,
        Flag(("keep",), "do not delete the container when it has ended", "switch", False),
        PID_FILE, PIDFD_SOCKET, NO_SUBREAPER, NO_PIVOT, NO_KEYRING, PRESERVE,
    ),
    failed="run failed: ",
)  # fmt: skip
