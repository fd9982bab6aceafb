"""``dockyard volume``: named folders that outlive containers."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from dockyard.base.aio.now import stamp
from dockyard.base.errors import Conflict, DockyardError, NotFound
from dockyard.base.oci.instance import root_path
from dockyard.cli import common
from dockyard.node.volume.local import LocalVolumes, Volume

HEADINGS = {"Driver": "DRIVER", "Name": "VOLUME NAME"}


def run(argv: list[str]) -> int:
    """Run the second word."""
    return common.second_word("volume", VERBS, argv)


def volumes() -> LocalVolumes:
    """Those of the data root that the flag or the environment names."""
    return LocalVolumes(root_path())


def describe(volume: Volume) -> dict[str, Any]:
    """A volume as `docker volume inspect` shows it."""
    return {
        "CreatedAt": stamp(volume.created),
        "Driver": "local",
        "Labels": None,
        "Mountpoint": volume.path,
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def _ls(argv: list[str]) -> int:
    parser = common.Parser("volume ls", "[OPTIONS]", "List volumes.",
                           "  dockyard volume ls --output json\n")  # fmt: skip
    parser.flag("-q", "--quiet", help="only names")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args(argv)
    rows = [describe(volume) for volume in volumes().list()]
    if options.quiet:
        print("".join(f"{row['Name']}\n" for row in rows), end="")
    elif options.output == "json":
        print(json.dumps(rows, indent=2))
    elif options.format:
        from dockyard.cli.template import listed

        print(listed(options.format, rows, HEADINGS), end="")
    else:
        print(common.table(list(HEADINGS.values()), [[row[k] for k in HEADINGS] for row in rows]))
    return 0


def _create(argv: list[str]) -> int:
    parser = common.Parser("volume create", "[VOLUME]", "Create a volume.",
                           "  dockyard volume create data\n")  # fmt: skip
    parser.refuse(("-d", "--driver", "-o", "--opt", "--label"))
    parser.add_argument("name", nargs="?", default="", metavar="VOLUME")
    options = parser.parse_args(argv)
    print(volumes().create(options.name or os.urandom(32).hex()).name)
    return 0


def _rm(argv: list[str]) -> int:
    parser = common.Parser("volume rm", "[OPTIONS] VOLUME [VOLUME...]",
                           "Remove volumes that no container has.",
                           "  dockyard volume rm data\n")  # fmt: skip
    parser.flag("-f", "--force", help="one that is not there is fine")
    parser.add_argument("names", nargs="+", metavar="VOLUME")
    options = parser.parse_args(argv)
    used = _users()
    failed = 0
    for name in options.names:
        try:
            if name in used:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(used[name])}]; "
                               "remove the containers first")  # fmt: skip
            volumes().remove(name)
        except NotFound as error:
            if not options.force:
                print(f"dockyard: {error}", file=sys.stderr)
                failed = 1
                continue
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
            continue
        print(name)
    return failed


def _users() -> dict[str, list[str]]:
    """The containers that have each volume."""
    found: dict[str, list[str]] = {}
    for container in common.engine().list():
        for mount in container.config.mounts:
            if mount.kind == "volume":
                found.setdefault(mount.source, []).append(container.id)
    return found


def _inspect(argv: list[str]) -> int:
    parser = common.Parser("volume inspect", "[OPTIONS] VOLUME [VOLUME...]",
                           "Show all that is known of volumes.")  # fmt: skip
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("names", nargs="+", metavar="VOLUME")
    options = parser.parse_args(argv)
    from dockyard.cli.inspect import show

    show([describe(volumes().find(name)) for name in options.names], options.format)
    return 0


VERBS: common.Verbs = {
    "ls": (_ls, "List volumes"),
    "create": (_create, "Create a volume"),
    "rm": (_rm, "Remove volumes that no container has"),
    "inspect": (_inspect, "Show all that is known of volumes"),
}
