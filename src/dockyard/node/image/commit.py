"""Turns an overlay's upper directory into a stored and unpacked layer."""

import os
from collections.abc import Iterator

from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import OCI_LAYER
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.chunks import gathered
from dockyard.node.image.image import Layer, chain_ids
from dockyard.node.image.pack import pack
from dockyard.node.image.pipeline import ahead
from dockyard.node.image.segments import gzip_segments, packers, quick


def commit_layer(catalog: Catalog, upper: str, parent: Digest | None) -> Layer:
    """See :meth:`ImageStore.commit_layer`. Packing, hashing and compressing run side by side."""
    hasher = Digest("sha256:").hasher()
    sizes: list[int] = []

    def hashed() -> Iterator[bytes]:
        for chunk in gathered(pack(upper)):
            hasher.update(chunk)
            sizes.append(len(chunk))
            yield chunk

    with packers() as pool, ahead(hashed()) as plain:
        digest, size = catalog.blobs.collect(gzip_segments(plain, quick, pool))
    diff_id = Digest("sha256:" + hasher.hexdigest())
    chain = chain_ids((parent, diff_id))[-1] if parent else diff_id
    layer = Layer(digest, diff_id, chain, size, OCI_LAYER + "+gzip")
    with catalog.ingest.directory() as staged:
        os.rename(upper, os.path.join(staged, "fs"))
        catalog.layers.take(staged, chain)
    catalog.add_layer(layer, sum(sizes))
    return layer
