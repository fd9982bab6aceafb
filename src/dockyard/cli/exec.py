"""``dockyard exec``: another command in a running container; its exit code goes out."""

from __future__ import annotations

import argparse
import sys

from dockyard.base.errors import DockyardError
from dockyard.cli import common, terminal
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine.processes import Command


def run(argv: list[str]) -> int:
    """Execute a command."""
    parser = common.Parser(
        "exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Run a command in a running container.",
        "  dockyard exec -it web sh\n",
    )  # fmt: skip
    add = parser.add_argument
    add("-d", "--detach", action="store_true", help="in the background")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable")
    add("-w", "--workdir", default="", help="working directory")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="who it runs as")
    add("--privileged", action="store_true", help="with every capability")
    add("container")
    add("words", nargs=argparse.REMAINDER, metavar="COMMAND [ARG...]")
    options = parser.parse_args(argv)
    if not options.words:
        parser.error('"exec" requires at least 2 arguments: a container and a command')
    if not options.detach:
        terminal.check_terminal(options.interactive, options.tty)
    command = Command(
        args=tuple(options.words),
        env=tuple(options.env),
        workdir=options.workdir,
        user=options.user,
        terminal=options.tty,
        size=terminal.window() if options.tty else None,
        stdin=options.interactive,
        privileged=options.privileged,
    )
    try:
        stream = common.engine().exec(options.container, command, detach=options.detach)
    except StartFailed as error:
        print(f"dockyard: exec failed: {error}", file=sys.stderr)
        return error.exit_code
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return 1
    try:
        if options.detach:
            return 0
        code = terminal.pump(stream, stdin=options.interactive, terminal=options.tty)
    except terminal.Detached:
        return 0
    finally:
        stream.close()
    return common.USAGE_ERROR if code is None else code
