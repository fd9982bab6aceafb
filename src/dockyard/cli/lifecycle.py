"""``dockyard start|stop|kill|wait|rm``: one verb for each of several containers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError
from dockyard.cli import common

if TYPE_CHECKING:
    from dockyard.node.engine.engine import Engine

Action = Callable[["Engine", str, argparse.Namespace], str]


def _start(engine: Engine, name: str, _: argparse.Namespace) -> str:
    engine.start(name)
    return name


def _stop(engine: Engine, name: str, options: argparse.Namespace) -> str:
    engine.stop(name, options.time)
    return name


def _kill(engine: Engine, name: str, options: argparse.Namespace) -> str:
    from dockyard.node.engine.end import signal_number

    engine.kill(name, signal_number(options.signal))
    return name


def _wait(engine: Engine, name: str, _: argparse.Namespace) -> str:
    container = engine.wait(name)
    return str(container.exit_code if container else 0)


def _rm(engine: Engine, name: str, options: argparse.Namespace) -> str:
    engine.remove(name, force=options.force, volumes=options.volumes or options.if_ended)
    return name


VERBS: dict[str, tuple[str, Action]] = {
    "start": ("Start stopped containers.", _start),
    "stop": ("Stop running containers: a signal, and after a grace SIGKILL.", _stop),
    "kill": ("Send a signal to running containers.", _kill),
    "wait": ("Wait until containers end, then print their exit codes.", _wait),
    "rm": ("Remove containers.", _rm),
}


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    verb, *words = argv
    description, action = VERBS[verb]
    parser = common.Parser(verb, "[OPTIONS] CONTAINER [CONTAINER...]", description)
    add = parser.add_argument
    if verb == "stop":
        add(
            "-t",
            "--time",
            "--timeout",
            type=int,
            default=None,
            metavar="SECONDS",
            help="the grace (default: the container's, 10)",
        )
    if verb == "kill":
        add("-s", "--signal", default="KILL", help="the signal")
    if verb == "rm":
        add("-f", "--force", action="store_true", help="also one that runs")
        add("-v", "--volumes", action="store_true", help="with its anonymous volumes")
        add("--if-ended", action="store_true", help=argparse.SUPPRESS)  # fmt: skip
    add("containers", nargs="+", metavar="CONTAINER")
    options = parser.parse_args(words)
    engine = common.engine()
    failed = 0
    for name in options.containers:
        try:
            print(action(engine, name, options), flush=True)
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    return failed
