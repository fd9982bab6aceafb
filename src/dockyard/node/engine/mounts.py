"""Turns the mounts that a container asks for into mounts whose sources exist."""

from __future__ import annotations

import os

from dockyard.base.errors import Invalid, NotFound
from dockyard.base.typed import Protocol
from dockyard.node.engine.config import MountSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


NO_CREATE = "no-create"
"""Option of a bind mount whose source must be there (``--mount``); ``-v`` makes a folder."""
NO_COPY = "nocopy"
"""Option of a volume that is not filled from the image."""
WRITABLE_BELOW = "writable-below"
"""Option of a read-only bind mount: what is mounted below its source is not read-only too."""
OURS = (NO_CREATE, NO_COPY, WRITABLE_BELOW)


class Volumes(Protocol):
    """What the engine asks of the volume room."""

    def create(self, name: str) -> object:
        """Make a volume; one that is there is fine."""

    def populate(self, name: str, layers: Sequence[str], path: str) -> None:
        """Fill an empty volume with what the layers have at a path."""

    def path(self, name: str) -> str:
        """Where its files are."""

    def remove(self, name: str) -> None: ...


def plan(wanted: tuple[MountSpec, ...]) -> tuple[MountSpec, ...]:
    """The mounts, checked, each volume with a name. Touches nothing."""
    targets = [os.path.normpath(mount.target) for mount in wanted]
    for target in targets:
        if not target.startswith("/") or target.strip("/") == "" or "\0" in target:
            raise Invalid(f"invalid mount: destination {target!r}: not an absolute path below /")
        if targets.count(target) > 1:
            raise Invalid(f"Duplicate mount point: {target}")
    return tuple(
        mount._replace(source=os.urandom(32).hex())
        if mount.kind == "volume" and not mount.source
        else mount
        for mount in wanted
    )


def own_volumes(wanted: tuple[MountSpec, ...], planned: tuple[MountSpec, ...]) -> list[str]:
    """Names of the volumes that :func:`plan` named: they are removed with the container."""
    return [after.source for before, after in zip(wanted, planned, strict=True)
            if after.kind == "volume" and not before.source]  # fmt: skip


def prepare(mounts: tuple[MountSpec, ...], layers: tuple[str, ...], volumes: Volumes) -> None:
    """Make what is missing: volumes, and folders of the host."""
    for mount in mounts:
        if mount.kind == "volume":
            volumes.create(mount.source)
            if NO_COPY not in mount.options:
                volumes.populate(mount.source, layers, mount.target)
        elif mount.kind == "bind" and not os.path.lexists(mount.source):
            if NO_CREATE in mount.options:
                raise NotFound(
                    'invalid mount config for type "bind": bind source path does not exist: '
                    f"{mount.source}"
                )
            os.makedirs(mount.source)
