"""``dockyard logs``: what a container has printed, each stream to its own."""

from __future__ import annotations

import re
import sys

from dockyard.base.aio.now import parse_stamp, wall
from dockyard.base.errors import Invalid
from dockyard.cli import common

UNITS = {"s": 1, "m": 60, "h": 3600}


def run(argv: list[str]) -> int:
    """Print a log."""
    parser = common.Parser(
        "logs", "[OPTIONS] CONTAINER", "Show what a container has printed.",
        "  dockyard logs -f --tail 20 web\n",
    )  # fmt: skip
    add = parser.add_argument
    add("-f", "--follow", action="store_true", help="go on until it ends")
    add("-n", "--tail", default="all", metavar="N", help="the last N lines")
    add("--since", default="", metavar="TIME", help="a stamp, or 10m")
    add("--until", default="", metavar="TIME", help="a stamp, or 10m")
    add("-t", "--timestamps", action="store_true", help="with the time of each line")
    add("container")
    options = parser.parse_args(argv)
    entries = common.engine().logs(
        options.container,
        tail=None if options.tail == "all" else _count(options.tail),
        since=_when(options.since),
        until=_when(options.until),
        follow=options.follow,
    )
    for entry in entries:
        out = sys.stdout if entry.stream == "stdout" else sys.stderr
        out.write(f"{entry.time} {entry.text}" if options.timestamps else entry.text)
        out.flush()
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise Invalid(f"invalid tail: {text}: a number, or all")
    return int(text)


def _when(text: str) -> float:
    """Seconds since the epoch of a stamp, a number of them, or how long ago."""
    if not text:
        return 0.0
    if match := re.fullmatch(r"(\d+)([smh])", text):
        return wall() - int(match[1]) * UNITS[match[2]]
    try:
        return float(text) if text.replace(".", "", 1).isdecimal() else parse_stamp(text)
    except ValueError as error:
        raise Invalid(f"invalid time: {text}: a stamp like 2026-01-02T15:04:05Z, or 10m") from error
