"""``dockyard run``: its monitor-to-be is forked first; then the verb is loaded, and runs."""

from __future__ import annotations

import sys

from dockyard.node.runtime import ahead


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    if "--help" not in argv:
        ahead.fork()
    if packed := sys.modules.get("dockyard.cli.packed"):
        packed.begin("run")
    try:
        from dockyard.cli import run as verb

        return verb.run(argv)
    finally:
        ahead.drop()
