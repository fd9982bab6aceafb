"""``dockyard logs``: what a container has printed, each stream to its own."""

from __future__ import annotations

import sys

from dockyard.base.aio.now import wall
from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli import common
from dockyard.cli.moments import moment

EXAMPLES = """  dockyard logs web
  dockyard logs -f --tail 20 web
  dockyard logs -t --since 1h30m web
"""


def run(argv: list[str]) -> int:
    """Print a log."""
    parser = common.Parser("logs", "[OPTIONS] CONTAINER", "Show what a container has printed.",
                           EXAMPLES)  # fmt: skip
    add = parser.add_argument
    parser.flag("-f", "--follow", help="go on until it ends")
    add("-n", "--tail", default="all", metavar="N", help="the last N lines")
    add("--since", default="", metavar="TIME", help="a stamp, or 10m")
    add("--until", default="", metavar="TIME", help="a stamp, or 10m")
    parser.flag("-t", "--timestamps", help="with the time of each line")
    parser.flag("--details", help="with what `--log-opt labels, env, tag` ask for")
    add("container", metavar="CONTAINER")
    options = parser.parse_args(argv)
    engine = common.engine()
    container = engine.find(options.container)
    log = container.config.log
    if log.kind == "none":
        raise Unsupported("configured logging driver does not support reading")
    if log.kind not in ("json-file", "local"):
        raise Unsupported(f"logs: {container.name}: has a log of the form {log.kind!r}; "
                          f"read {log.path}, or use `kubectl logs`")  # fmt: skip
    entries = engine.logs(
        container.id,
        tail=_count(options.tail),
        since=moment(options.since, wall()),
        until=moment(options.until, wall()),
        follow=options.follow,
    )
    last = sys.stdout.buffer
    for entry in entries:
        out = sys.stdout.buffer if entry.stream == "stdout" else sys.stderr.buffer
        if out is not last:
            last.flush()  # in the order in which they were printed
            last = out
        head = f"{entry.time} " if options.timestamps else ""
        if options.details:
            head += f"{_details(entry.attributes)} "
        out.write((head + entry.text).encode("utf-8", "replace"))
        if options.follow:
            out.flush()
    last.flush()
    return 0


def _details(attributes: tuple[tuple[str, str], ...]) -> str:
    """``tag=web,team=a%2Cb``: by their names, as in a URL."""
    if not attributes:
        return ""
    from urllib.parse import quote_plus

    pairs = (f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(attributes))
    return ",".join(pairs)


def _count(text: str) -> int | None:
    """None: all. A negative number is all too, as with Docker."""
    if text == "all" or (text[:1] == "-" and text[1:].isdecimal()):
        return None
    if not text.isdecimal():
        raise Invalid(f"invalid tail: {text}: a number, or all")
    return int(text)
