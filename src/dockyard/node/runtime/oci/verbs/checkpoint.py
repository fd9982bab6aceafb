"""`checkpoint`: refused. A container's memory is not written to files here."""

from __future__ import annotations

from dockyard.base.errors import Unsupported
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import ID, PROGRAM, Globals, Verb

REFUSED = f"not implemented: {PROGRAM} does not save and restore processes (CRIU)"
IMAGES = Flag(("image-path",), "folder of the image files")
WORK = Flag(("work-path",), "folder of other files and logs")


def switches(*names: str) -> tuple[Flag, ...]:
    """Flags that are taken, so that the refusal is what a caller hears."""
    return tuple(Flag((name,), "not supported", "switch", False) for name in names)


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Say so."""
    raise Unsupported(f"checkpoint: {REFUSED}")


VERB = Verb(
    summary="not supported: checkpoint a running container",
    usage=ID,
    act=act,
    flags=(
        IMAGES, WORK, Flag(("parent-path",), "folder of an earlier image"),
        Flag(("page-server",), "ADDRESS:PORT of a page server"),
        Flag(("manage-cgroups-mode",), "soft, full or strict"),
        Flag(("empty-ns",), "namespaces whose contents are left out", "texts"),
        Flag(("status-fd",), "descriptor that is told when pages can be asked for", "number", -1),
        *switches("leave-running", "tcp-established", "ext-unix-sk", "shell-job", "lazy-pages",
                  "file-locks", "pre-dump", "auto-dedup"),
    ),
)  # fmt: skip
