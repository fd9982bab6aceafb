"""Turns an image, a directory or a tar into the read-only layers of a container's root."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dockyard.base.errors import NotFound
from dockyard.base.oci.imageconfig import ImageConfig

if TYPE_CHECKING:
    from dockyard.node.image.image import Image


class Images(Protocol):
    """What the engine asks of the image room."""

    def resolve(self, reference: str) -> Image: ...

    def mount_layers(self, image: Image) -> list[str]: ...

    def lease(self, image: Image, holder: str) -> None: ...

    def release(self, holder: str) -> None: ...


class Root(NamedTuple):
    """What a container starts from."""

    layers: tuple[str, ...]
    """Directories, topmost first."""
    image: ImageConfig | None
    image_id: str


def find_root(images: Images, image: str, rootfs: str, holder: str) -> Root:
    """The root that a configuration names; an image is leased for ``holder``."""
    if rootfs:
        path = os.path.realpath(rootfs)
        if not os.path.isdir(path):
            raise NotFound(f"rootfs: {rootfs}: no such directory")
        return Root((path,), None, "sha256:" + hashlib.sha256(path.encode()).hexdigest())
    found = images.resolve(image)
    images.lease(found, holder)
    return Root(tuple(images.mount_layers(found)), found.config, str(found.id))
