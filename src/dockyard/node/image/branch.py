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


def branch(
    store: "ImageStore",
    image: Image,
    upper: str,
    prepare: Callable[[str], None],
    change: Callable[[ImageConfig], ImageConfig],
    reference: str | None,
) -> Image:
    """``prepare`` gets a copy of ``upper``, an overlay's, which becomes a layer."""
    with store.adding(), store.workspace() as place:
        copy = os.path.join(place, "upper")
        os.mkdir(copy, 0o755)
        extract(TarReader(pack(upper), "commit"), copy, "commit")
        prepare(copy)
        parent = image.layers[-1].chain_id if image.layers else None
        layer = store.commit_layer(copy, parent)
        return store.create(change(image.config), (*image.layers, layer), reference)
