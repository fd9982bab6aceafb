"""Turns ``--all`` and ``--filter`` into names of containers, for verbs that take several.

In podman's manner: docker has neither, for its daemon knows which containers start with it.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from dockyard.cli.common import Parser
    from dockyard.node.engine.config import Container
    from dockyard.node.engine.engine import Engine


def add(parser: Parser) -> None:
    """The flags, and the names that may be missing then."""
    parser.flag("--all", help="every container")
    parser.many("-f", "--filter", metavar="KEY=VALUE", help="of all: those of `ps --filter`, "
                "restart-policy among them")  # fmt: skip
    parser.add_argument("containers", nargs="*", metavar="CONTAINER")
    parser.least = 1


def parse(parser: Parser, words: list[str]) -> argparse.Namespace:
    """The flags, checked."""
    found = parser.parse_args(words)
    found.all = found.all or bool(found.filter)
    if found.all and found.containers:
        raise Invalid("--all and --filter take no names of containers")
    if not found.all and not found.containers:
        parser.too_few()
    return found


def names(
    engine: Engine, options: argparse.Namespace, suits: Callable[[Container], bool]
) -> list[str]:
    """Those that are named, or those that the flags choose and that suit, the oldest first."""
    if not options.all:
        given: list[str] = options.containers
        return given
    found = engine.list()
    if options.filter:
        from dockyard.cli.psfilters import chosen

        health = {each.id: engine.health(each.id) for each in found
                  if each.alive and each.config.health}  # fmt: skip
        found = chosen(found, options.filter, health)
    return [each.name for each in reversed(found) if suits(each)]
