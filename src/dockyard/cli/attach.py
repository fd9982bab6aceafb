"""``dockyard attach``: this terminal becomes a running container's."""

from __future__ import annotations

from dockyard.cli import common, terminal


def run(argv: list[str]) -> int:
    """Attach to a container."""
    parser = common.Parser(
        "attach", "[OPTIONS] CONTAINER",
        "Connect the terminal to a running container; ctrl-p ctrl-q leaves it running.",
    )  # fmt: skip
    parser.add_argument("--no-stdin", action="store_true", help="only watch")
    parser.add_argument("container")
    options = parser.parse_args(argv)
    engine = common.engine()
    container = engine.find(options.container)
    stream = engine.attach(container.id)
    stdin = container.config.open_stdin and not options.no_stdin
    try:
        code = terminal.pump(stream, stdin=stdin, terminal=container.config.terminal)
    except terminal.Detached:
        return 0
    finally:
        stream.close()
    return common.USAGE_ERROR if code is None else code
