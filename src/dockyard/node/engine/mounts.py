"""Turns ``-v`` and an image's VOLUMEs into mounts whose sources exist."""

from __future__ import annotations

import os
import secrets
from typing import Protocol

from dockyard.base.errors import Invalid
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.node.engine.config import MountSpec


class Volumes(Protocol):
    """What the engine asks of the volume room."""

    def create(self, name: str) -> None:
        """Make a volume; one that is there is fine."""

    def path(self, name: str) -> str:
        """Where its files are."""

    def remove(self, name: str) -> None: ...

    def is_anonymous(self, name: str) -> bool: ...


def resolve_mounts(
    wanted: tuple[MountSpec, ...], image: ImageConfig | None, volumes: Volumes
) -> tuple[MountSpec, ...]:
    """The caller's mounts, and a fresh volume for each VOLUME that none of them covers."""
    targets = [os.path.normpath(mount.target) for mount in wanted]
    for target in targets:
        if not target.startswith("/") or target == "/":
            raise Invalid(f"invalid mount: destination {target!r}: not an absolute path below /")
        if targets.count(target) > 1:
            raise Invalid(f"Duplicate mount point: {target}")
    declared = [os.path.normpath(path) for path in (image.volumes if image else ())]
    missing = [MountSpec("volume", "", path) for path in declared
               if path not in targets and path.startswith("/")]  # fmt: skip
    return tuple(_prepare(mount, volumes) for mount in (*wanted, *missing))


def _prepare(mount: MountSpec, volumes: Volumes) -> MountSpec:
    if mount.kind == "volume":
        name = mount.source or secrets.token_hex(32)
        volumes.create(name)
        return mount._replace(source=name)
    if mount.kind == "bind":
        os.makedirs(mount.source, exist_ok=True) if not os.path.lexists(mount.source) else None
    return mount
