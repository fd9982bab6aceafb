"""``dockyard ps``: the containers of this data root, in Docker's columns."""

from __future__ import annotations

import time

from dockyard.base.aio.now import wall
from dockyard.base.pattern import Pattern
from dockyard.cli import common
from dockyard.node.engine.config import Container, PortSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dockyard.node.engine.engine import Engine

EXAMPLES = """  dockyard ps -a
  dockyard ps --filter label=app=web --format '{{.Names}}: {{.Status}}'
  dockyard ps --format 'table {{.Names}}\\t{{.Ports}}'
"""
COLUMNS = {"ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "RunningFor": "CREATED",
           "Status": "STATUS", "Ports": "PORTS", "Names": "NAMES"}  # fmt: skip
HEADINGS = {**COLUMNS, "CreatedAt": "CREATED AT", "Size": "SIZE"}
SIZED = Pattern(r"\.Size\b|\bjson\s+\.\s*\}")
"""A template that asks for what has to be measured."""
LONGEST_COMMAND = 20


def run(argv: list[str]) -> int:
    """List containers."""
    parser = common.Parser("ps", "[OPTIONS]", "List containers.", EXAMPLES)
    add = parser.add_argument
    parser.flag("-a", "--all", help="also those that do not run")
    parser.flag("-q", "--quiet", help="only IDs")
    add("-n", "--last", type=int, default=-1, metavar="N", help="the N newest")
    parser.flag("-l", "--latest", help="the newest")
    parser.many("-f", "--filter", metavar="KEY=VALUE",
                help="id, name, label, status, exited, ancestor, network, volume, publish, "
                "before, since, owner, health, expose, restart-policy")  # fmt: skip
    parser.flag("--no-trunc", help="do not cut anything")
    add("--format", default="", metavar="TEMPLATE", help="a Go template, `table ...` or `json`")
    add("--output", choices=("table", "json"), default="table", help="table or json")
    parser.flag("-s", "--size", help="with what each has changed of its root, in bytes")
    options = parser.parse_args(argv)
    last = 1 if options.latest else options.last
    engine = common.engine()
    found = engine.list()
    health = {each.id: engine.health(each.id) for each in found
              if each.alive and each.config.health}  # fmt: skip
    parser.check_filters(options.filter)
    if options.filter:
        from dockyard.cli.psfilters import chosen

        found = chosen(found, options.filter, health)
    asked = any(word.startswith(("status=", "exited=")) for word in options.filter)
    if not (options.all or last >= 0 or asked):
        found = [each for each in found if each.alive or each.status == "restarting"]
    now = wall()
    found = found[:last] if last >= 0 else found
    rows = [row(each, now, options.no_trunc, health.get(each.id, "")) for each in found]
    columns = dict(COLUMNS)
    if options.size:
        columns["Size"] = "SIZE"
    if options.size or (options.format and SIZED.search(options.format)):
        for each, cells_of in zip(found, rows, strict=True):
            cells_of["Size"] = _size(engine, each)
    if options.quiet:
        print("".join(f"{row['ID']}\n" for row in rows), end="")
    elif options.output == "json":
        import json

        from dockyard.cli.gotemplate.evaluate import plain

        print(json.dumps([plain(each) for each in rows], indent=2))
    elif options.format:
        from dockyard.cli.template import listed

        print(listed(options.format, rows, HEADINGS), end="")
    else:
        cells = [[row[key] for key in columns] for row in rows]
        print(common.table(list(columns.values()), cells))
    return 0


def _size(engine: Engine, container: Container) -> str:
    from dockyard.cli import sizes

    own, whole = engine.sizes(container.id)
    return f"{sizes.decimal(own)} (virtual {sizes.decimal(whole)})"


def row(container: Container, now: float, whole: bool, health: str = "") -> dict[str, Any]:
    """A container as `docker ps` shows it; the keys are those of its templates."""
    config = container.config
    command = " ".join(f"'{arg}'" if " " in arg else arg for arg in container.args)
    if not whole and len(command) > LONGEST_COMMAND:
        command = command[: LONGEST_COMMAND - 1] + "…"
    labels = dict(config.labels)
    found: dict[str, Any] = {
        "ID": container.id if whole else container.id[:12],
        "Image": _image(config.image, whole) or config.rootfs,
        "Command": f'"{common.printable(command)}"',
        "RunningFor": f"{common.age(now - container.created)} ago",
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(container.created)),
        "Status": status(container, now, health),
        "State": container.status,
        "Ports": ports(container),
        "Names": container.name,
        "Labels": ",".join(f"{key}={value}" for key, value in config.labels),
        "Label": lambda name: labels.get(name, ""),
        "Platform": None,
        "Size": "0B",
        "Networks": config.network,
        "Mounts": ",".join(mount.source or mount.target for mount in config.mounts),
        "LocalVolumes": str(sum(mount.kind == "volume" for mount in config.mounts)),
        "Owner": container.owner,
    }
    return dict(sorted(found.items()))


def _image(name: str, whole: bool) -> str:
    """An image without a name is shown by the beginning of its ID."""
    digits = name.removeprefix("sha256:")
    return name if whole or digits == name else digits[:12]


def status(container: Container, now: float, health: str = "") -> str:
    """``Up 5 minutes``, ``Up 5 minutes (healthy)``, ``Exited (0) 2 hours ago``, ``Created``."""
    if container.alive:
        more = f" ({'health: ' if health == 'starting' else ''}{health})" if health else ""
        more = " (Paused)" if container.status == "paused" else more
        return f"Up {common.age(now - container.started)}{more}"
    if container.status == "restarting":
        return f"Restarting ({container.exit_code}) {common.age(now - container.finished)} ago"
    if container.status == "exited":
        return f"Exited ({container.exit_code}) {common.age(now - container.finished)} ago"
    return "Removal In Progress" if container.status == "removing" else "Created"


def ports(container: Container) -> str:
    """``80/tcp`` that is only exposed, ``0.0.0.0:8080->80/tcp`` that is published; runs of
    neighbours together."""
    network = container.config.network
    if not container.alive or network in ("none", "host") or network.startswith("container:"):
        return ""
    published = sorted(container.ports, key=lambda p: (p.protocol, p.host_ip, p.container_port))
    runs: list[list[PortSpec]] = []
    for port in published:
        if runs and _follows(runs[-1][-1], port):
            runs[-1].append(port)
        else:
            runs.append([port])
    named = {f"{port.container_port}/{port.protocol}" for port in published}
    return ", ".join(
        [*(each for each in container.config.exposed if each not in named), *map(_run, runs)]
    )


def _follows(before: PortSpec, port: PortSpec) -> bool:
    return port == before._replace(
        container_port=before.container_port + 1, host_port=before.host_port + 1
    )


def _run(run: list[PortSpec]) -> str:
    first, last = run[0], run[-1]
    span = f"-{last.host_port}" if len(run) > 1 else ""
    inner = f"-{last.container_port}" if len(run) > 1 else ""
    return (f"{first.host_ip}:{first.host_port}{span}->{first.container_port}{inner}"
            f"/{first.protocol}")  # fmt: skip
