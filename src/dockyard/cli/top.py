"""``dockyard top``: the processes of a container, as the machine's ``ps`` shows them."""

from __future__ import annotations

from dockyard.cli import common
from dockyard.cli.plainwords import REST

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


EXAMPLES = """  dockyard top web
  dockyard top web -o pid,user,comm
"""
NARROWEST, SPACE = 20, 3
"""Columns as wide as Docker's."""


def run(argv: list[str]) -> int:
    """Print a table."""
    parser = common.Parser("top", "CONTAINER [ps OPTIONS]",
                           "Show the processes of a container.", EXAMPLES)  # fmt: skip
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("words", nargs=REST, metavar="ps OPTIONS")
    options = parser.parse_args(argv)
    found = common.engine().top(options.container, tuple(options.words))
    rows = [found.titles, *found.rows]
    widths = [max(NARROWEST, max(len(row[column]) for row in rows) + SPACE)
              for column in range(len(found.titles) - 1)]  # fmt: skip
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        print("".join((*cells, row[-1])))
    return 0
