"""`delete`: removes what a container holds."""

from __future__ import annotations

from dockyard.base.errors import NotFound
from dockyard.node.runtime.oci import container, state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.report import Report
from dockyard.node.runtime.oci.verb import ID, PROGRAM, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Remove it. With ``--force`` one that is not there is removed already."""
    try:
        made = state.load(found.root, arguments[0])
    except NotFound:
        if not values["force"]:
            raise
        return 0
    container.delete(found.root, made, force=values["force"], warn=Report(found).warning)
    return 0


VERB = Verb(
    summary="delete any resources held by the container often used with detached container",
    usage=ID,
    act=act,
    text=f"""Where "{ID}" is the name of a container that has stopped, or was never started.

EXAMPLE:
To remove the container "web" from what "{PROGRAM} list" shows:

       # {PROGRAM} delete web""",
    flags=(
        Flag(("force", "f"), "end the container first if it is running (SIGKILL)", "switch", False),
    ),
)
