"""``dockyard exec``: another command in a running container; its exit code goes out."""

from __future__ import annotations

import sys

from dockyard.base.errors import DockyardError, Invalid
from dockyard.cli import attached, common, envflags, terminal
from dockyard.cli.plainwords import REST
from dockyard.interfaces.ociruntime import StartFailed
from dockyard.node.engine.processes import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


NOT_RUN = 126
EXAMPLES = """  dockyard exec -it web sh
  dockyard exec -u app -e DEBUG=1 web env
"""


def run(argv: list[str]) -> int:
    """Execute a command."""
    options = _options(argv)
    keys = attached.keys_of(options)
    if not options.detach:
        terminal.check_terminal(options.interactive, options.tty)
    command = Command(
        args=tuple(options.words),
        env=envflags.variables(options.env, options.env_file),
        workdir=options.workdir,
        user=options.user,
        terminal=options.tty,
        size=terminal.window() if options.tty else None,
        stdin=options.interactive and not options.detach,
        privileged=options.privileged,
    )
    engine = common.engine()
    try:
        stream = engine.exec(options.container, command, detach=options.detach)
    except StartFailed as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return error.exit_code
    except Invalid as error:  # of who and where it shall run as: Docker's code for that
        print(f"dockyard: {error}", file=sys.stderr)
        return NOT_RUN
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return 1
    if options.detach:
        stream.close()
        return 0
    try:
        code = terminal.pump(stream, stdin=options.interactive, terminal=options.tty, keys=keys)
    except terminal.Detached:
        print("read escape sequence", file=sys.stderr)
        return 0
    finally:
        stream.close()
    return attached.KILLED if code is None else code


def _options(argv: list[str]) -> argparse.Namespace:
    parser = common.Parser(
        "exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Run a command in a running container.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    parser.flag("-d", "--detach", help="in the background")
    add("--detach-keys", metavar="KEYS", help="instead of ctrl-p,ctrl-q")
    parser.flag("-i", "--interactive", help="keep standard input open")
    parser.flag("-t", "--tty", help="give it a terminal")
    parser.many("-e", "--env", metavar="NAME=VALUE", help="a variable; NAME alone takes yours")
    parser.many("--env-file", metavar="FILE", help="variables, one a line")
    add("-w", "--workdir", default="", help="the working directory")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="who it runs as")
    parser.flag("--privileged", help="with every capability")
    add("container", metavar="CONTAINER")
    add("words", nargs=REST, metavar="COMMAND [ARG...]")
    parser.least = 2
    options = parser.parse_args(argv)
    if not options.words:
        parser.too_few()
    return options
