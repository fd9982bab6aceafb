"""``dockyard diff``: what a container has changed of its root."""

from __future__ import annotations

from dockyard.cli import common


def run(argv: list[str]) -> int:
    """Print ``A`` (added), ``C`` (changed) or ``D`` (deleted) and a path a line."""
    parser = common.Parser("diff", "CONTAINER", "Show what a container has changed of its root: "
                           "A added, C changed, D deleted.", "  dockyard diff web\n")  # fmt: skip
    parser.add_argument("container", metavar="CONTAINER")
    options = parser.parse_args(argv)
    for change in common.engine().diff(options.container):
        print(change.kind, common.printable(change.path))
    return 0
