"""``dockyard port``: where a container's ports are on the host."""

from __future__ import annotations

from dockyard.base.errors import NotFound
from dockyard.cli import common
from dockyard.node.engine.effective import exposed

EXAMPLES = """  dockyard port web
  dockyard port web 80/tcp
"""


def run(argv: list[str]) -> int:
    """Print one address a line."""
    parser = common.Parser("port", "CONTAINER [PRIVATE_PORT[/PROTO]]",
                           "Show where a container's ports are published.", EXAMPLES)  # fmt: skip
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("port", nargs="?", default="", metavar="PRIVATE_PORT[/PROTO]")
    options = parser.parse_args(argv)
    container = common.engine().find(options.container)
    published = sorted(container.ports if container.alive else (),
                       key=lambda port: (port.protocol, port.container_port))  # fmt: skip
    if not options.port:
        for each in published:
            name = f"{each.container_port}/{each.protocol}"
            print(f"{name} -> {_address(each.host_ip, each.host_port)}")
        return 0
    [wanted] = exposed(options.port)[:1]
    found = [each for each in published if f"{each.container_port}/{each.protocol}" == wanted]
    if not found:
        raise NotFound(f"No public port '{options.port}' published for {options.container}")
    for each in found:
        print(_address(each.host_ip, each.host_port))
    return 0


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
