"""Turns an image and a folder of changes into a further image, and leaves the folder as it was."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.node.image.extract import extract
from dockyard.node.image.image import Image
from dockyard.node.image.pack import pack
from dockyard.node.image.tarread import TarReader

if TYPE_CHECKING:
    from dockyard.node.image.store import ImageStore


def copy_upper(upper: str, copy: str) -> None:
    """What an overlay's upper directory holds, marks and all, without sockets."""
    extract(TarReader(pack(upper), "commit"), copy, "commit")


def branch(
    store: "ImageStore",
    image: Image,
    fill: Callable[[str], None],
    change: Callable[[ImageConfig], ImageConfig],
    reference: str | None,
) -> Image:
    """``fill`` gets an empty folder that becomes a layer, in the form of an overlay's upper one."""
    with store.adding(), store.workspace() as place:
        copy = os.path.join(place, "upper")
        os.mkdir(copy, 0o755)
        fill(copy)
        parent = image.layers[-1].chain_id if image.layers else None
        layer = store.commit_layer(copy, parent)
        return store.create(change(image.config), (*image.layers, layer), reference)
