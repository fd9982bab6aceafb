"""``dockyard namespaces``: /proc comes in; who lives in which namespace goes out, as lsns(8) lists
it, with the names of containers.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.base.linux.nsview import KINDS, Namespace, group_up, named, processes
from dockyard.base.oci.instance import instance_id, root_path
from dockyard.cli import common

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dockyard.node.engine.config import Container

HOST = "host"
LONGEST_COMMAND = 40
EXAMPLES = """  dockyard namespaces                   # every namespace of this machine
  dockyard namespaces web               # those that the container web lives in
  dockyard namespaces --type net,pid    # the walls around networks and processes only
  dockyard namespaces --output json web
"""


def run(argv: list[str]) -> int:
    """List namespaces."""
    parser = common.Parser(
        "namespaces", "[OPTIONS] [CONTAINER...]",
        "Show who lives in which namespace: namespaces(7), lsns(8). CONTAINERS are those of this\n"
        "data root with a process in it; `host` is where this command itself lives.", EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    parser.many("-t", "--type", metavar="TYPE,...", help=", ".join(KINDS))
    add("-p", "--task", type=int, default=0, metavar="PID", help="only those of this process")
    parser.flag("--no-trunc", help="do not cut anything")
    parser.flag("-n", "--noheadings", help="no line of headings")
    add("--output", choices=("table", "json"), default="table", help="table or json")
    add("names", nargs="*", metavar="CONTAINER")
    options = parser.parse_args(argv)
    kinds = _kinds(options.type)
    engine = common.engine()
    wanted = [engine.find(name) for name in options.names]
    for container in wanted:
        if not container.alive:
            raise Invalid(f"namespaces: {container.name}: it is not running; its namespaces ended "
                          f"with it. Start it: dockyard start {container.name}")  # fmt: skip
    known = {container.id: container for container in engine.list()}
    rows = _rows(kinds, known, {container.id for container in wanted}, options.task)
    if options.output == "json":
        print(json.dumps({"namespaces": [_document(*row) for row in rows]}, indent=2))
    else:
        print(_table(rows, whole=options.no_trunc, headings=not options.noheadings), end="")
    return 0


def _kinds(words: list[str]) -> tuple[str, ...]:
    kinds = tuple(kind for word in words for kind in word.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise Invalid(f"namespaces: --type {kind!r}: unknown; one of {', '.join(KINDS)}")
    return kinds or KINDS


def _rows(
    kinds: tuple[str, ...], known: Mapping[str, Container], wanted: set[str], task: int
) -> list[tuple[Namespace, list[str]]]:
    """(namespace, who lives in it), in the order of types and then of the kernel's numbers."""
    marker = f"/dockyard/{instance_id(root_path())}/"
    seen = named(processes(marker), {each.pid: each.id for each in known.values() if each.alive})
    if task and not any(process.pid == task for process in seen):
        raise Invalid(f"namespaces: --task {task}: no such process")
    rows = []
    for space in group_up(seen, kinds):
        ids = {process.container for process in space.members} - {""}
        if wanted and not ids & wanted:
            continue
        if task and not any(process.pid == task for process in space.members):
            continue
        rows.append((space, _residents(space, ids, known)))
    return rows


def _residents(space: Namespace, ids: Iterable[str], known: Mapping[str, Container]) -> list[str]:
    names = sorted(known[each].name if each in known else each[:12] for each in ids)
    here = any(process.pid == os.getpid() for process in space.members)
    return [*([HOST] if here else []), *names]


def _document(space: Namespace, residents: list[str]) -> dict[str, object]:
    first = space.members[0]
    return {
        "ns": space.inode,
        "type": space.kind,
        "nprocs": len(space.members),
        "pid": first.pid,
        "user": _user(first.uid),
        "command": first.command,
        "containers": residents,
        "pids": [process.pid for process in space.members],
    }


def _table(rows: list[tuple[Namespace, list[str]]], *, whole: bool, headings: bool) -> str:
    titles = ["NS", "TYPE", "NPROCS", "PID", "USER", "COMMAND", "CONTAINERS"]
    cells = []
    for space, residents in rows:
        first = space.members[0]
        command = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in first.command)
        if not whole and len(command) > LONGEST_COMMAND:
            command = command[: LONGEST_COMMAND - 1] + "…"
        cells.append([str(space.inode), space.kind, str(len(space.members)), str(first.pid),
                      _user(first.uid), command, ", ".join(residents)])  # fmt: skip
    if not headings:
        return common.table(cells[0], cells[1:]) + "\n" if cells else ""
    return common.table(titles, cells) + "\n"


def _user(uid: int) -> str:
    """The host's name for it."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
