"""``dockyard logout``: turns a registry's name into a password that is forgotten."""

from __future__ import annotations

from dockyard.cli import common
from dockyard.cli.login import HUB, registry_of


def run(argv: list[str]) -> int:
    parser = common.Parser(
        "logout", "[SERVER]", "Forget a registry's password.", "  dockyard logout localhost:5000\n"
    )
    parser.add_argument("server", nargs="?", default=HUB, metavar="SERVER")
    parser.add_argument("--authfile", metavar="FILE", help="docker's config.json elsewhere")
    words = parser.parse_args(argv)
    from dockyard.node.image.registry.credentials import forget_credentials, server_of
    from dockyard.node.image.registry.hosts import Hosts

    registry = registry_of(words.server)
    if forget_credentials(Hosts(auth_file=words.authfile), registry):
        print(f"Removing login credentials for {server_of(registry)}")
    else:
        print(f"Not logged in to {server_of(registry)}")
    return 0
