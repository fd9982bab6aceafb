"""``dockyard stats``: what containers use, once a second, in Docker's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.aio import now
from dockyard.base.errors import NotFound
from dockyard.cli import common, sizes

if TYPE_CHECKING:
    from dockyard.node.engine.config import Container
    from dockyard.node.engine.engine import Engine
    from dockyard.node.engine.usage import Sample

EXAMPLES = """  dockyard stats
  dockyard stats --no-stream --format '{{.Name}}: {{.CPUPerc}}' web
"""
HEADINGS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
SECONDS = 1.0
"""Between two looks: what a processor did in it is its percentage."""
HOME, END_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"
"""Where a terminal is drawn over: the upper left corner, and what is left from before."""
Known = dict[str, "Sample"]


def run(argv: list[str]) -> int:
    """Show them until interrupted, or once."""
    parser = common.Parser("stats", "[OPTIONS] [CONTAINER...]",
                           "Show what containers use, as they run.", EXAMPLES)  # fmt: skip
    parser.flag("-a", "--all", help="also those that do not run")
    parser.add_argument("--format", default="", metavar="TEMPLATE",
                        help="a Go template, `table ...` or `json`")  # fmt: skip
    parser.flag("--no-stream", help="show them once")
    parser.flag("--no-trunc", help="do not cut anything")
    parser.add_argument("containers", nargs="*", metavar="CONTAINER")
    options = parser.parse_args(argv)
    engine = common.engine()
    for name in options.containers:
        engine.find(name)
    before: Known = {}
    while True:
        asked = _asked(engine, options.containers, options.all)
        if options.containers and not asked:
            return 0
        samples = _looked(engine, [container.id for _, container in asked])
        if before or not samples:
            rows = [row(name, container, before.get(container.id), samples[container.id],
                        options.no_trunc)
                    for name, container in asked if container.id in samples]  # fmt: skip
            text = _shown(rows, options.format)
            if options.no_stream:
                print(text, end="")
                return 0
            print(HOME + text.replace("\n", f"{END_OF_LINE}\n") + REST, end="", flush=True)
        before = samples
        now.pause(SECONDS)


def _looked(engine: Engine, container_ids: list[str]) -> Known:
    """What each has used; one that has gone meanwhile is left out."""
    found = {}
    for container_id in container_ids:
        try:
            found[container_id] = engine.usage(container_id)
        except NotFound:
            continue
    return found


def _asked(engine: Engine, names: list[str], every: bool) -> list[tuple[str, Container]]:
    """(what it was asked for by, the container); those that have gone are left out."""
    if not names:
        return [(each.id[:12], each) for each in engine.list() if every or each.alive]
    found = []
    for name in names:
        try:
            found.append((name, engine.find(name)))
        except NotFound:
            continue
    return found


def _shown(rows: list[dict[str, str]], form: str) -> str:
    if form:
        from dockyard.cli.template import listed

        return listed(form, rows, HEADINGS)
    return common.table([HEADINGS[key] for key in COLUMNS],
                        [[each[key] for key in COLUMNS] for each in rows]) + "\n"  # fmt: skip


def row(
    name: str, container: Container, before: Sample | None, after: Sample, whole: bool
) -> dict[str, str]:
    """A container as `docker stats` shows it; the keys are those of its templates. Pure."""
    used = after.usage
    share = 100 * used.memory / used.memory_limit if used.memory_limit else 0.0
    return {
        "BlockIO": f"{sizes.decimal(used.read)} / {sizes.decimal(used.written)}",
        "CPUPerc": f"{_processor(before, after):.2f}%",
        "Container": name,
        "ID": container.id if whole else container.id[:12],
        "MemPerc": f"{share:.2f}%",
        "MemUsage": f"{sizes.binary(used.memory)} / {sizes.binary(used.memory_limit)}",
        "Name": container.name,
        "NetIO": f"{sizes.decimal(after.received)} / {sizes.decimal(after.sent)}",
        "PIDs": str(used.pids),
    }


def _processor(before: Sample | None, after: Sample) -> float:
    """Hundredths of one processor between two looks."""
    if before is None or after.time <= before.time:
        return 0.0
    nanoseconds = max(0, after.usage.cpu - before.usage.cpu)
    return nanoseconds / (after.time - before.time) / 1e7
