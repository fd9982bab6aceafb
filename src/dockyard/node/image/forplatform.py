"""Turns a name and a platform into the image for it that is here, unpacked if need be.

A name means one image; what an index holds for other platforms gets the name ``NAME@DIGEST``.
"""

from dockyard.base.errors import Unsupported
from dockyard.base.oci.manifest import Index, choose
from dockyard.base.oci.platform import Platform
from dockyard.base.oci.reference import Reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.image import Image, ImageNotFound
from dockyard.node.image.progress import Silent
from dockyard.node.image.whole import Whole


def here_for(catalog: Catalog, name: Reference, platform: Platform) -> tuple[str, Image] | None:
    """By which name, and the image; None where there is none for this platform."""
    try:
        image = catalog.resolve(str(name))
        if platform.runs(image.config.platform):
            return str(name), image
    except (ImageNotFound, Unsupported):
        pass  # an index alone, or nothing
    bundle = catalog.bundles.named(str(name))
    if bundle is None or not isinstance(bundle.document, Index):
        return None
    what = f"image {name}"
    try:
        entry = choose(bundle.document, platform, what)
    except Unsupported:
        return None
    child = next(one for one in catalog.bundles.children(bundle.document) if one.entry == entry)
    if child.manifest is None or not child.whole:
        return None
    pinned = f"{name.name}@{entry.digest}"
    with catalog.adding():
        whole = Whole(catalog, catalog.blobs.chunks, lambda _: True, Silent(), what)
        return pinned, whole.image(child.manifest, (pinned,))
