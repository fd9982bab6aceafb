"""``dockyard down``: the cluster stops; with ``--purge`` nothing of it is left, and it says so."""

from __future__ import annotations

import os
import sys

from dockyard.cli import common

EXAMPLES = """  dockyard down            # the data stays: `dockyard up` goes on
  dockyard down --purge    # and the data too
"""


def run(argv: list[str]) -> int:
    """Stop the cluster."""
    parser = common.Parser("down", "[OPTIONS]", "Stop the cluster.", EXAMPLES)
    parser.add_argument("--purge", action="store_true", help="remove its data too")
    parser.add_argument("--data-dir", default="", metavar="DIR", help="which cluster")
    options = parser.parse_args(argv)
    if options.data_dir:
        os.environ["DOCKYARD_ROOT"] = options.data_dir
    from dockyard.base.oci.instance import data_root
    from dockyard.boot import down, layout

    places = down.down(layout.Layout(data_root()), purge=options.purge, say=print)
    failed = 0
    for place in places:
        left = ", ".join(place.ours) or "nothing left"
        print(f"{place.name:<11} {left}  (looked at {place.seen} in {place.where})")
        failed |= bool(place.ours)
    if failed:
        print("dockyard: down: something is left; see above", file=sys.stderr)
    return failed
