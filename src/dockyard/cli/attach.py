"""``dockyard attach``: this terminal becomes a running container's."""

from __future__ import annotations

from dockyard.base.errors import Conflict
from dockyard.cli import attached, common, terminal

EXAMPLES = """  dockyard attach web
  dockyard attach --no-stdin --sig-proxy=false web
"""


def run(argv: list[str]) -> int:
    """Attach to a container."""
    parser = common.Parser(
        "attach", "[OPTIONS] CONTAINER",
        "Connect the terminal to a running container; ctrl-p ctrl-q leaves it running.", EXAMPLES,
    )  # fmt: skip
    parser.flag("--no-stdin", help="only watch")
    parser.flag_on("--sig-proxy", help="pass signals on (true)")
    parser.add_argument("--detach-keys", metavar="KEYS", help="instead of ctrl-p,ctrl-q")
    parser.add_argument("container", metavar="CONTAINER")
    options = parser.parse_args(argv)
    keys = attached.keys_of(options)
    engine = common.engine()
    container = engine.find(options.container)
    if not container.alive:
        raise Conflict("You cannot attach to a stopped container, start it first")
    stdin = container.config.open_stdin and not options.no_stdin
    terminal.check_terminal(stdin, container.config.terminal)
    code = attached.attach(
        engine, container.id, engine.attach(container.id), stdin=stdin,
        terminal_wanted=container.config.terminal, proxy=options.sig_proxy, keys=keys,
    )  # fmt: skip
    return 0 if code is None else code
