"""``dockyard start``: containers that do not run, run again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError, Invalid
from dockyard.cli import attached, common, several, terminal
from dockyard.interfaces.ociruntime import StartFailed

if TYPE_CHECKING:
    import argparse

    from dockyard.node.engine.engine import Engine

EXAMPLES = """  dockyard start web
  dockyard start -ai shell
  dockyard start --all --filter restart-policy=always
"""


def run(argv: list[str]) -> int:
    """Start containers; with ``-a``, one, and stay with it."""
    parser = common.Parser("start", "[OPTIONS] CONTAINER [CONTAINER...]",
                           "Start stopped containers.", EXAMPLES)  # fmt: skip
    parser.flag("-a", "--attach", help="show its output and pass signals on")
    parser.flag("-i", "--interactive", help="connect standard input")
    parser.add_argument("--detach-keys", metavar="KEYS", help="instead of ctrl-p,ctrl-q")
    parser.refuse(("--checkpoint", "--checkpoint-dir"))
    several.add(parser)
    options = several.parse(parser, argv)
    engine = common.engine()
    names = several.names(engine, options, lambda each: not each.alive)
    if options.attach or options.interactive:
        if options.all or len(names) > 1:
            raise Invalid("you cannot start and attach multiple containers at once")
        return _start_attached(engine, names[0], options)
    failed = 0
    for name in names:
        try:
            engine.start(name)
            print(name, flush=True)
        except DockyardError as error:
            print(f"dockyard: {name}: {error}", file=sys.stderr)
            failed = 1
    return failed


def _start_attached(engine: Engine, name: str, options: argparse.Namespace) -> int:
    keys = attached.keys_of(options)
    container = engine.find(name)
    stdin = options.interactive and container.config.open_stdin
    terminal.check_terminal(stdin, container.config.terminal)
    try:
        stream = engine.start(container.id, attach=True) or engine.attach(container.id)
    except StartFailed as error:
        print(f"dockyard: start: {error}", file=sys.stderr)
        return error.exit_code
    code = attached.attach(
        engine, container.id, stream, stdin=stdin, terminal_wanted=container.config.terminal,
        keys=keys,
    )  # fmt: skip
    return 0 if code is None else code
