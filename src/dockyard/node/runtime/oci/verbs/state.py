"""`state`: turns a container into the state that runtime.md of the specification defines."""

from __future__ import annotations

import json

from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Values
from dockyard.node.runtime.oci.verb import ID, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Print it."""
    described = state.describe(found.root, state.load(found.root, arguments[0]))
    print(json.dumps({**described, "owner": ""}, indent=2))
    return 0


VERB = Verb(
    summary="output the state of a container",
    usage=ID,
    act=act,
    description="Prints the container's state as JSON.",
)
