"""``dockyard stop|restart|kill|wait|rm|pause|unpause``: one verb for each of several containers."""

from __future__ import annotations

import sys

from dockyard.base.errors import DockyardError, NotFound, Unsupported
from dockyard.base.typed import NamedTuple
from dockyard.cli import common, several
from dockyard.cli.plainwords import HIDDEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from dockyard.node.engine.engine import Engine


def _stop(engine: Engine, name: str, options: argparse.Namespace) -> str:
    if options.signal:
        from dockyard.node.engine.end import signal_number

        engine.stop(name, options.time, number=signal_number(options.signal))
    else:
        engine.stop(name, options.time)
    return name


def _restart(engine: Engine, name: str, options: argparse.Namespace) -> str:
    from dockyard.node.engine.end import signal_number

    number = signal_number(options.signal) if options.signal else 0
    engine.restart(name, options.time, number=number)
    return name


def _kill(engine: Engine, name: str, options: argparse.Namespace) -> str:
    from dockyard.node.engine.end import signal_number

    engine.kill(name, signal_number(options.signal))
    return name


def _wait(engine: Engine, name: str, _: argparse.Namespace) -> str:
    container = engine.wait(name)
    return str(container.exit_code if container else 0)


def _rm(engine: Engine, name: str, options: argparse.Namespace) -> str:
    if options.link:
        raise Unsupported(f"rm --link {name}: not implemented: a link goes with the container that "
                          "was made with it")  # fmt: skip
    try:
        engine.remove(name, force=options.force, volumes=options.volumes)
    except NotFound:
        if not options.force:
            raise
        print(f"dockyard: No such container: {name}", file=sys.stderr)
        return ""
    return name


def _pause(engine: Engine, name: str, _: argparse.Namespace) -> str:
    engine.pause(name)
    return name


def _unpause(engine: Engine, name: str, _: argparse.Namespace) -> str:
    engine.unpause(name)
    return name


class Verb(NamedTuple):
    """What is done to each container, and what the help says."""

    action: Callable[[Engine, str, argparse.Namespace], str]
    description: str
    examples: str


VERBS = {
    "stop": Verb(_stop, "Stop running containers: a signal, and after a grace SIGKILL.",
                 "  dockyard stop web\n  dockyard stop -t 1 web db\n"),
    "restart": Verb(_restart, "Stop containers and start them.",
                    "  dockyard restart web\n  dockyard restart -t 1 web db\n"),
    "kill": Verb(_kill, "Send a signal to running containers.",
                 "  dockyard kill web\n  dockyard kill -s HUP web\n"),
    "wait": Verb(_wait, "Wait until containers end, then print their exit codes.",
                 "  dockyard wait job\n"),
    "rm": Verb(_rm, "Remove containers.",
               "  dockyard rm web\n  dockyard rm -fv $(dockyard ps -aq)\n"),
    "pause": Verb(_pause, "Freeze all processes of containers.", "  dockyard pause web\n"),
    "unpause": Verb(_unpause, "Let frozen containers go on.", "  dockyard unpause web\n"),
}  # fmt: skip


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    verb, *words = argv
    found = VERBS[verb]
    options = _options(verb, found, words)
    engine = common.engine()
    names = options.containers
    if verb in ("stop", "restart"):
        names = several.names(engine, options, lambda each: each.alive or verb == "restart")
    failed = 0
    for name in names:
        try:
            if said := found.action(engine, name, options):
                print(said, flush=True)
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    return failed


def _options(verb: str, found: Verb, words: list[str]) -> argparse.Namespace:
    usage = "[OPTIONS] CONTAINER [CONTAINER...]"
    parser = common.Parser(verb, usage, found.description, found.examples)
    add = parser.add_argument
    if verb in ("stop", "restart"):
        add("-t", "--time", "--timeout", type=int, default=None, metavar="SECONDS", dest="time",
            help="the grace (the container's, 10); -1: for ever")  # fmt: skip
        add("-s", "--signal", default="", metavar="SIGNAL", help="instead of its stop signal")
    elif verb == "kill":
        add("-s", "--signal", default="KILL", metavar="SIGNAL", help="the signal (KILL)")
    elif verb == "rm":
        parser.flag("-f", "--force", help="also one that runs")
        parser.flag("-v", "--volumes", help="with the volumes that nobody named")
        parser.flag("-l", "--link", help=HIDDEN)
    if verb in ("stop", "restart"):
        several.add(parser)
        return several.parse(parser, words)
    add("containers", nargs="+", metavar="CONTAINER")
    return parser.parse_args(words)
