"""``dockyard rename``: another name for a container."""

from __future__ import annotations

from dockyard.cli import common


def run(argv: list[str]) -> int:
    """Rename it."""
    parser = common.Parser("rename", "CONTAINER NEW_NAME", "Rename a container.",
                           "  dockyard rename quiet_harbor web\n")  # fmt: skip
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("name", metavar="NEW_NAME")
    options = parser.parse_args(argv)
    common.engine().rename(options.container, options.name)
    return 0
