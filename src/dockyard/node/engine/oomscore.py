"""Turns the OOM score that a container wants into the one that this process may give it.

The runtime refuses what it cannot set. A node that lacks CAP_SYS_RESOURCE (in a container or a
small virtual machine) still runs its pods: they keep a score, and somebody is told.
"""

from __future__ import annotations

import sys

from dockyard.base.linux import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


OWN = "/proc/self/oom_score_adj"


def to_stderr(text: str) -> None:
    """Where a command's user, or a daemon's log, sees it."""
    print(f"WARNING: {text}", file=sys.stderr)


def allowed(wanted: int | None, warn: Callable[[str], None] | None = None) -> int | None:
    """``wanted``, or this process's own score where only a right that it lacks could lower it."""
    if wanted is None:
        return None
    with open(OWN) as file:
        own = int(file.read())
    may = capabilities.effective() >> capabilities.NUMBERS["CAP_SYS_RESOURCE"] & 1
    if wanted >= own or may:
        return wanted
    if warn is not None:
        warn(f"oom_score_adj {wanted}: lower than {own} needs CAP_SYS_RESOURCE; it stays {own}")
    return own
