"""`start`: lets a created container execute its program."""

from __future__ import annotations

from dockyard.node.runtime.oci import container, state
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Start it."""
    container.start(found.root, state.load(found.root, arguments[0]))
    return 0


VERB = Verb(
    summary="executes the user defined process in a created container",
    usage=ID,
    act=act,
    description="Lets the first process of a created container execute the program of config.json.",
)
