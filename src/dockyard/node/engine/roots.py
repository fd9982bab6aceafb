"""Turns an image or a directory into the read-only layers of a container's root."""

from __future__ import annotations

import os

from dockyard.base.errors import NotFound, Unsupported
from dockyard.base.linux.overlay import NATIVE
from dockyard.base.typed import NamedTuple, Protocol
from dockyard.interfaces.ociruntime import Overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.engine.config import Container
    from dockyard.node.engine.parts import Parts
    from dockyard.node.image.image import Image


class Images(Protocol):
    """What the engine asks of the image room."""

    def resolve(self, reference: str) -> Image: ...

    def mount_layers(self, image: Image) -> list[str]: ...

    def lease(self, image: Image, holder: str, *, lasting: bool) -> None: ...

    def release(self, holder: str) -> None: ...

    def commit(
        self,
        image_id: str,
        fill: Callable[[str], None],
        change: Callable[[ImageConfig], ImageConfig],
        name: str,
    ) -> str:
        """A folder that is filled becomes a layer on an image: the new image's id."""

    def commit_root(
        self, tar: Iterable[bytes], change: Callable[[ImageConfig], ImageConfig], name: str
    ) -> str:
        """A whole root becomes an image of one layer: its id."""


class Root(NamedTuple):
    """What a container starts from."""

    layers: tuple[str, ...]
    """Directories, topmost first."""
    image: ImageConfig | None
    image_id: str
    """Empty: a directory."""


def lease_root(images: Images, image: str, rootfs: str, holder: str, *, lasting: bool) -> Root:
    """The root that a configuration names; an image is kept while ``holder`` is there, which one
    that is not ``lasting`` is not after a loss of power."""
    if rootfs:
        return Root(_directory(rootfs), None, "")
    found = images.resolve(image)
    if found.config.platform.os != "linux":
        raise Unsupported(
            f"image: {image}: is for {found.config.platform.os}; only linux images can run here"
        )
    images.lease(found, holder, lasting=lasting)
    return Root(tuple(images.mount_layers(found)), found.config, str(found.id))


def stack_of(parts: Parts, container: Container) -> Overlay:
    """What a container's root is mounted from."""
    places, driver = parts.places, container.driver
    work = os.path.join(places.state(container.id), "work")
    copied = driver == NATIVE
    layers = layers_of(parts.images, container.image_id, container.config.rootfs)
    # As podman does for what vanishes with its end. Not an ordinary user's: the kernel's mark
    # lies in a folder that they cannot look into.
    volatile = container.config.auto_remove and os.geteuid() == 0
    return Overlay(
        () if copied else layers, places.upper(container.id), work, driver, volatile=volatile
    )


def fill(layers: tuple[str, ...], upper: str, driver: str) -> None:
    """Make a new container's upper directory what its driver begins with."""
    if driver == NATIVE:
        from dockyard.base.linux import treecopy

        treecopy.copy(layers, upper)


def layers_of(images: Images, image_id: str, rootfs: str) -> tuple[str, ...]:
    """The layers of a container that was made before: its image's name may be another's by now."""
    if rootfs:
        return _directory(rootfs)
    return tuple(images.mount_layers(images.resolve(image_id)))


def _directory(rootfs: str) -> tuple[str, ...]:
    path = os.path.realpath(rootfs)
    if not os.path.isdir(path):
        raise NotFound(f"rootfs: {rootfs}: no such directory")
    return (path,)
