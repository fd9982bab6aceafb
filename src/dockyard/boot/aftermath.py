"""Turns what a container's monitor has noticed into what its engine does: a process of its own.

``python -m dockyard.boot.aftermath DATA_ROOT WHAT CONTAINER``, executed by the monitor, which is
too small to do it itself.
"""

from __future__ import annotations

import contextlib
import sys

from dockyard.base.errors import DockyardError
from dockyard.boot.engine import build_engine


def main(argv: list[str]) -> int:
    """``ended``: the container has."""
    data_root, what, container_id = argv
    engine = build_engine(data_root)
    with contextlib.suppress(DockyardError):  # its row says what failed; nobody listens here
        {"ended": engine.after_exit}[what](container_id)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
