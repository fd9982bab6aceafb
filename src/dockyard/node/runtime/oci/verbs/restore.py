"""`restore`: refused, as `checkpoint` is."""

from __future__ import annotations

from dockyard.base.errors import Unsupported
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import (
    BUNDLE,
    CONSOLE,
    DETACH,
    ID,
    NO_PIVOT,
    NO_SUBREAPER,
    PID_FILE,
    Globals,
    Verb,
)
from dockyard.node.runtime.oci.verbs.checkpoint import IMAGES, REFUSED, WORK, switches


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Say so."""
    raise Unsupported(f"restore: {REFUSED}")


VERB = Verb(
    summary="not supported: restore a container from a previous checkpoint",
    usage=ID,
    act=act,
    flags=(
        CONSOLE, IMAGES, WORK, BUNDLE, DETACH, PID_FILE, NO_SUBREAPER, NO_PIVOT,
        Flag(("manage-cgroups-mode",), "soft, full or strict"),
        Flag(("empty-ns",), "namespaces whose contents are left out", "texts"),
        Flag(("lsm-profile",), "TYPE:NAME of a profile"),
        Flag(("lsm-mount-context",), "context of the mounts"),
        *switches("tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup",
                  "lazy-pages"),
    ),
)  # fmt: skip
