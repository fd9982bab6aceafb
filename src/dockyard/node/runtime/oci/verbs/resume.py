"""`resume`: lets the processes of a paused container go on."""

from __future__ import annotations

from dockyard.base.errors import Conflict
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Thaw it."""
    made = state.load(found.root, arguments[0])
    if state.status(found.root, made) != "paused":
        raise Conflict(f"{made.id}: container not paused")
    group.freeze(made.cgroup, False)
    return 0


VERB = Verb(
    summary="resumes all processes that have been previously paused",
    usage=ID,
    act=act,
    description="""Lets every process of a paused container go on.""",
)
