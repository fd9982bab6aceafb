"""`list`: turns the containers below a root into a table or JSON."""

from __future__ import annotations

import json

from dockyard.base.errors import Invalid
from dockyard.node.runtime.oci import state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import PROGRAM, Globals, Verb

COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
NARROWEST, GAP = 12, 3


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Print them."""
    if values["format"] not in ("table", "json"):
        raise Invalid(f"invalid format option: {values['format']!r}; table or json")
    made = state.every(found.root)
    if values["quiet"]:
        for one in made:
            print(one.id)
        return 0
    rows = [state.describe(found.root, one) for one in made]
    if values["format"] == "json":
        print(json.dumps(rows or None, separators=(",", ":")))
    else:
        print(table([[str(row[name]) for name in COLUMNS] for row in rows]))
    return 0


def table(rows: list[list[str]]) -> str:
    """Columns as wide as what is in them."""
    rows = [[name.upper() for name in COLUMNS], *rows]
    widths = [
        max(NARROWEST, max(len(row[index]) for row in rows) + GAP)
        for index in range(len(COLUMNS) - 1)
    ]
    return "\n".join(
        "".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + row[-1:])
        for row in rows
    )


VERB = Verb(
    summary=f"lists containers started by {PROGRAM} with the given root",
    usage="",
    act=act,
    text=f"""The root is what the global option --root names.

EXAMPLE:
To list the containers of another root:

       # {PROGRAM} --root PATH list""",
    flags=(
        Flag(("format", "f"), "table or json", "text", "table", '"table"'),
        Flag(("quiet", "q"), "display only container IDs", "switch", False),
    ),
    least=0,
    most=0,
)
