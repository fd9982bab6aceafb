"""``dockyard inspect``: all that is known of containers (or images), in Docker's shape."""

from __future__ import annotations

import json
import sys
from typing import Any

from dockyard.base.errors import NotFound
from dockyard.cli import common
from dockyard.cli.template import expand


def run(argv: list[str]) -> int:
    """Print JSON, or what a template picks from it."""
    parser = common.Parser(
        "inspect", "[OPTIONS] NAME|ID [NAME|ID...]", "Show all that is known of containers.",
        "  dockyard inspect --format '{{.State.Pid}}' web\n",
    )  # fmt: skip
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("--type", choices=("container", "image"), default="", help="only these")
    parser.add_argument("names", nargs="+", metavar="NAME|ID")
    options = parser.parse_args(argv)
    engine = common.engine()
    found: list[dict[str, Any]] = []
    failed = 0
    for name in options.names:
        try:
            if options.type == "image":
                raise NotFound(name)
            found.append(engine.inspect(name))
        except NotFound:
            if options.type == "container" or not _image(name, options.format):
                print(f"Error: No such object: {name}", file=sys.stderr)
                failed = 1
    if options.format:
        print("".join(expand(options.format, each) + "\n" for each in found), end="")
    elif found or failed:
        print(json.dumps(found, indent=4))
    return failed


def _image(name: str, template: str) -> bool:
    """Show an image of that name; whether there is one."""
    from dockyard.cli import image

    words = ["inspect", *(["--format", template] if template else []), name]
    try:
        return image.run(words) == 0
    except NotFound:
        return False
