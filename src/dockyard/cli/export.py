"""``dockyard export``: a container's root as a tar stream."""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import Invalid
from dockyard.cli import common, terminal

EXAMPLES = """  dockyard export -o root.tar web
  dockyard export web | dockyard image import - copy:1
"""


def run(argv: list[str]) -> int:
    """Write it to standard output, or to a file, which is whole or not there."""
    parser = common.Parser("export", "[OPTIONS] CONTAINER",
                           "Write a container's root, without volumes, as a tar stream.",
                           EXAMPLES)  # fmt: skip
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="not standard output")
    parser.add_argument("container", metavar="CONTAINER")
    options = parser.parse_args(argv)
    if not options.output:
        if sys.stdout.isatty():
            raise Invalid("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for piece in common.engine().export(options.container):
            terminal.write_all(1, piece)
        return 0
    engine = common.engine()
    engine.find(options.container)
    part = f"{options.output}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            file.writelines(engine.export(options.container))
        os.replace(part, options.output)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    return 0
