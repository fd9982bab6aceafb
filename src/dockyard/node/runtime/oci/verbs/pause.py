"""`pause`: stops every process of a container where it is."""

from __future__ import annotations

from dockyard.base.errors import Conflict
from dockyard.node.runtime.cgroups import group
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Freeze it."""
    made = state.load(found.root, arguments[0])
    if state.status(found.root, made) not in ("created", "running"):
        raise Conflict(f"{made.id}: container not running")
    group.freeze(made.cgroup, True)
    return 0


VERB = Verb(
    summary="pause suspends all processes inside the container",
    usage=ID,
    act=act,
    description="""Stops every process of the container, through its control group.""",
)
