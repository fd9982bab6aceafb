"""``dockyard ps``: the containers of this data root, in Docker's columns."""

from __future__ import annotations

import json

from dockyard.base.aio.now import stamp, wall
from dockyard.base.errors import Invalid
from dockyard.cli import common
from dockyard.cli.template import expand
from dockyard.node.engine.config import Container, PortSpec

EXAMPLES = """  dockyard ps -a
  dockyard ps --filter label=app=web --format '{{.Names}}: {{.Status}}'
"""
HEADINGS = {"ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAgo": "CREATED",
            "Status": "STATUS", "Ports": "PORTS", "Names": "NAMES"}  # fmt: skip


def run(argv: list[str]) -> int:
    """List containers."""
    parser = common.Parser("ps", "[OPTIONS]", "List containers.", EXAMPLES)
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also those that do not run")
    add("-q", "--quiet", action="store_true", help="only IDs")
    add("-n", "--last", type=int, default=0, metavar="N", help="the N newest")
    add("-l", "--latest", action="store_true", help="the newest")
    add(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="id, name, label, status, ancestor, exited",
    )
    add("--no-trunc", action="store_true", help="do not cut anything")
    add("--format", default="", metavar="TEMPLATE", help="a Go template, or `json`")
    add("--output", choices=("table", "json"), default="table", help="table or json")  # fmt: skip
    options = parser.parse_args(argv)
    last = 1 if options.latest else options.last
    found = [c for c in common.engine().list() if all(_matches(c, f) for f in options.filter)]
    asked_status = any(f.startswith(("status=", "exited=")) for f in options.filter)
    if not (options.all or last or asked_status):
        found = [c for c in found if c.status in ("running", "paused")]
    rows = [row(c, wall(), options.no_trunc) for c in (found[:last] if last else found)]
    if options.quiet:
        print("".join(f"{r['ID']}\n" for r in rows), end="")
    elif options.output == "json":
        print(json.dumps(rows, indent=2))
    elif options.format == "json":
        print("".join(json.dumps(r) + "\n" for r in rows), end="")
    elif options.format:
        print("".join(expand(options.format, r) + "\n" for r in rows), end="")
    else:
        print(common.table(list(HEADINGS.values()), [[r[k] for k in HEADINGS] for r in rows]))
    return 0


def row(container: Container, now: float, whole: bool) -> dict[str, str]:
    """A container as `docker ps` shows it; the keys are those of its templates."""
    config = container.config
    command = " ".join(container.args)
    if not whole and len(command) > 20:
        command = command[:19] + "…"
    image = config.image or config.rootfs
    return {
        "ID": container.id if whole else container.id[:12],
        "Image": image,
        "Command": f'"{command}"',
        "CreatedAgo": f"{common.age(now - container.created)} ago",
        "RunningFor": f"{common.age(now - container.created)} ago",
        "CreatedAt": stamp(container.created),
        "Status": status(container, now),
        "State": container.status,
        "Ports": ", ".join(map(_port, container.ports if container.status == "running" else ())),
        "Names": container.name,
        "Labels": ",".join(f"{key}={value}" for key, value in config.labels),
        "Networks": config.network,
        "Mounts": ",".join(mount.source or mount.target for mount in config.mounts),
    }


def status(container: Container, now: float) -> str:
    """``Up 5 minutes``, ``Exited (0) 2 hours ago``, ``Created``."""
    if container.status == "running":
        return f"Up {common.age(now - container.started)}"
    if container.status == "paused":
        return f"Up {common.age(now - container.started)} (Paused)"
    if container.status == "created":
        return "Created"
    return f"Exited ({container.exit_code}) {common.age(now - container.finished)} ago"


def _port(port: PortSpec) -> str:
    return f"{port.host_ip}:{port.host_port}->{port.container_port}/{port.protocol}"


def _matches(container: Container, text: str) -> bool:
    key, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"invalid filter '{text}': not KEY=VALUE")
    labels = dict(container.config.labels)
    if key == "id":
        return container.id.startswith(value)
    if key == "name":
        return value in container.name
    if key == "status":
        return container.status == value
    if key == "exited":
        return container.status == "exited" and str(container.exit_code) == value
    if key == "ancestor":
        return value in (container.config.image, container.image_id)
    if key == "label":
        name, has_value, wanted = value.partition("=")
        return name in labels and (not has_value or labels[name] == wanted)
    raise Invalid(f"invalid filter '{key}'; one of id, name, label, status, ancestor, exited")
