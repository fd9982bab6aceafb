"""``dockyard logout``: turns a registry's name into a password that is forgotten."""

from __future__ import annotations

import sys

from dockyard.cli import common
from dockyard.cli.login import HUB, registry_of


def run(argv: list[str]) -> int:
    parser = common.Parser(
        "logout", "[SERVER]", "Forget a registry's password.", "  dockyard logout localhost:5000\n"
    )
    parser.add_argument("server", nargs="?", default=HUB, metavar="SERVER")
    parser.add_argument("--authfile", metavar="FILE", help="docker's config.json elsewhere")
    words = parser.parse_args(argv)
    from dockyard.node.image.registry.credentials import elsewhere, forget_credentials, server_of
    from dockyard.node.image.registry.hosts import Hosts

    registry = registry_of(words.server)
    hosts = Hosts(auth_file=words.authfile)
    if forget_credentials(hosts, registry):
        print(f"Removing login credentials for {server_of(registry)}")
    else:
        print(f"Not logged in to {server_of(registry)}")
    if other := elsewhere(hosts, registry):
        hint = f"--authfile {other} logs out there"
        print(f"WARNING: {other} knows it still: {hint}", file=sys.stderr)
    return 0
