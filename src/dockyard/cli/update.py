"""``dockyard update``: other limits, or another restart policy, for containers."""

from __future__ import annotations

import sys

from dockyard.base.errors import DockyardError, Invalid
from dockyard.cli import common, limitflags
from dockyard.cli.lifeflags import restart_policy
from dockyard.node.engine.update import Wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


EXAMPLES = """  dockyard update -m 512m --memory-swap 1g web
  dockyard update --cpus 1.5 --restart unless-stopped web db
"""


def run(argv: list[str]) -> int:
    """Update each; the names of those that were."""
    options = _options(argv)
    wishes = _wishes(options)
    engine = common.engine()
    failed = 0
    for name in options.containers:
        try:
            engine.update(name, wishes)
            print(name, flush=True)
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    return failed


def _wishes(options: argparse.Namespace) -> Wishes:
    given = [name for name in limitflags.MEMBERS if getattr(options, name) is not None]
    if not given and not options.restart:
        raise Invalid("you must provide one or more flags when using this command")
    found = limitflags.resources(options)._asdict()
    limits = {member: found[member] for member in map(limitflags.MEMBERS.__getitem__, given)}
    policy = restart_policy(options.restart) if options.restart else None
    return Wishes(limits, policy)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = common.Parser("update", "[OPTIONS] CONTAINER [CONTAINER...]",
                           "Change limits and restart policies of containers.",
                           EXAMPLES)  # fmt: skip
    limitflags.add(parser)
    parser.add_argument("--restart", default="", metavar="POLICY",
                        help="no, on-failure[:N], always, unless-stopped")  # fmt: skip
    parser.refuse(("--kernel-memory",))
    parser.add_argument("containers", nargs="+", metavar="CONTAINER")
    return parser.parse_args(argv)
