"""``dockyard network``: bridges that containers share."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.base.errors import DockyardError, NotFound
from dockyard.base.oci.instance import root_path
from dockyard.cli import common

if TYPE_CHECKING:
    from dockyard.node.network.bridges import BridgeNetworks

HEADINGS = {"Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Subnet": "SUBNET"}


class Network(NamedTuple):
    """A network that ``--network`` may name."""

    name: str
    driver: str
    subnet: str


FIXED = (Network("host", "host", ""), Network("none", "null", ""))


def run(argv: list[str]) -> int:
    """Run the second word."""
    return common.second_word("network", VERBS, argv)


def _bridges() -> BridgeNetworks:
    from dockyard.node.network.bridges import BridgeNetworks

    return BridgeNetworks(root_path())


def _all() -> list[Network]:
    """Every network; the default bridge is made when a container first needs it."""
    made = [Network(row.name, "bridge", row.subnet) for row in _bridges().list()]
    if not any(each.name == "bridge" for each in made):
        made.append(Network("bridge", "bridge", ""))
    return sorted([*made, *FIXED])


def find(name: str) -> Network:
    """Raises :class:`NotFound`."""
    for each in _all():
        if each.name == name:
            return each
    raise NotFound(f"network {name} not found")


def describe(network: Network) -> dict[str, Any]:
    """A network as `docker network inspect` shows it."""
    containers = {
        each.id: {"Name": each.name, "IPv4Address": each.address}
        for each in common.engine().list()
        if each.alive and each.config.network == network.name
    }
    config = [{"Subnet": network.subnet}] if network.subnet else []
    return {
        "Name": network.name,
        "Id": network.name,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": config},
        "Internal": False,
        "Containers": containers,
        "Options": {},
        "Labels": {},
    }


def _ls(argv: list[str]) -> int:
    parser = common.Parser("network ls", "[OPTIONS]", "List networks.",
                           "  dockyard network ls\n")  # fmt: skip
    parser.flag("-q", "--quiet", help="only names")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    options = parser.parse_args(argv)
    rows = [{"Name": each.name, "Driver": each.driver, "Scope": "local", "Subnet": each.subnet}
            for each in _all()]  # fmt: skip
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
    parser = common.Parser("network create", "[OPTIONS] NETWORK", "Create a bridge network.",
                           "  dockyard network create --subnet 10.9.0.0/24 back\n")  # fmt: skip
    parser.add_argument("--subnet", default="", metavar="CIDR", help="its addresses")
    parser.add_argument("-d", "--driver", choices=("bridge",), default="bridge")
    parser.refuse(("--gateway", "--ip-range", "--label", "--opt", "-o", "--aux-address"))
    parser.refuse(("--internal", "--ipv6", "--attachable"), nargs=0)
    parser.add_argument("name", metavar="NETWORK")
    options = parser.parse_args(argv)
    print(_bridges().create(options.name, options.subnet).name)
    return 0


def _rm(argv: list[str]) -> int:
    parser = common.Parser("network rm", "NETWORK [NETWORK...]",
                           "Remove networks that no container is on.")  # fmt: skip
    parser.add_argument("names", nargs="+", metavar="NETWORK")
    failed = 0
    for name in parser.parse_args(argv).names:
        try:
            _bridges().remove(name)
            print(name)
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    return failed


def _inspect(argv: list[str]) -> int:
    parser = common.Parser("network inspect", "[OPTIONS] NETWORK [NETWORK...]",
                           "Show all that is known of networks.")  # fmt: skip
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("names", nargs="+", metavar="NETWORK")
    options = parser.parse_args(argv)
    from dockyard.cli.inspect import show

    show([describe(find(name)) for name in options.names], options.format)
    return 0


VERBS: common.Verbs = {
    "ls": (_ls, "List networks"),
    "create": (_create, "Create a bridge network"),
    "rm": (_rm, "Remove networks that no container is on"),
    "inspect": (_inspect, "Show all that is known of networks"),
}
