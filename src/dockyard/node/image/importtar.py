"""Turns a tar of a root file system into an image of one layer."""

from collections.abc import Iterable, Iterator

from dockyard.base.aio import now
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.imageconfig import History, ImageConfig
from dockyard.base.oci.manifest import OCI_LAYER
from dockyard.base.oci.platform import host_platform
from dockyard.base.oci.reference import Reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.compression import decompress, gzip_packer
from dockyard.node.image.image import Image, Layer
from dockyard.node.image.pipeline import ahead


def import_tar(
    catalog: Catalog,
    chunks: Iterable[bytes],
    name: Reference | None,
    config: ImageConfig | None,
    message: str,
) -> Image:
    """The layer is packed anew with gzip; what is wrong with the tar is found while unpacking."""
    what = f"tar for {name}" if name else "tar"
    with catalog.adding():
        layer = store_tar(catalog, chunks, what)
        created = now.stamp(now.wall())
        config = config or ImageConfig(host_platform())
        config = config._replace(
            created=config.created or created,
            history=config.history
            or (History(config.created or created, message or "imported", False),),
        )
        return catalog.create(config, (layer,), name)


def store_tar(catalog: Catalog, chunks: Iterable[bytes], what: str) -> Layer:
    """A tar stream (compressed or not) becomes a stored and unpacked lowest layer."""
    packed: list[tuple[Digest, int]] = []

    def kept() -> Iterator[bytes]:
        """The plain stream, stored as gzip on its way to be unpacked."""
        packer = gzip_packer()
        with catalog.blobs.writer() as blob:
            for chunk in decompress(chunks, what):
                blob.write(packer.compress(chunk))
                yield chunk
            blob.write(packer.flush())
            packed.append(blob.commit())

    with ahead(kept()) as plain, catalog.layers.unpack(plain, None, what) as staged:
        (digest, size) = packed[0]
        layer = Layer(digest, staged.diff_id, staged.diff_id, size, OCI_LAYER + "+gzip")
        catalog.layers.adopt(staged, layer.chain_id, [])
        catalog.add_layer(layer, staged.unpacked)
    return layer
