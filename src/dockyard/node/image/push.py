"""Turns a local image into blobs and a manifest at the registry that its name says.

Layers that lie here as plain tars (docker-archives bring such) are compressed on their way, several
at once; what that gave is remembered, so that the next push asks before it compresses again.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import LAYERS, Manifest, with_layers
from dockyard.base.oci.reference import Reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.pipeline import ahead
from dockyard.node.image.progress import Progress
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.segments import gzip_segments, packers, tight

_AT_ONCE = 4
_PACKED = {plain: f"{plain}{end}" for plain, end in (
    (kind, ".gzip" if "docker" in kind else "+gzip") for kind, how in LAYERS.items() if not how
)}  # fmt: skip
"""Media types of plain layers -> of the same with gzip."""


def push(
    catalog: Catalog, hosts: Hosts, name: Reference, auth: Credentials | None, progress: Progress
) -> Digest:
    """See :meth:`ImageStore.push`. The manifest goes last: the registry never lists a part."""
    if name.digest is not None:
        raise Invalid(f"push: {name}: a tag is expected, not a digest")
    image = catalog.resolve(str(name))
    found = image.manifest
    progress.note(f"The push refers to repository [{name.name}]")
    elsewhere = catalog.repositories(name)
    with RegistryClient(hosts, name, auth, "pull,push", elsewhere.values()) as client:
        blobs = tuple(dict.fromkeys((*found.layers, found.config)))
        with packers() as packing, ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="push") as pool:
            transfer = _Push(catalog, client, elsewhere, progress, packing)
            try:
                sent = dict(zip(blobs, pool.map(transfer.send, blobs), strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        there = _as_sent(found, sent)
        client.put_manifest(name.target, there.media_type, there.data)
    catalog.set_name(f"{name.name}@{there.digest}", image)
    progress.note(f"{name.target}: digest: {there.digest} size: {len(there.data)}")
    return there.digest


def _as_sent(found: Manifest, sent: dict[Descriptor, Descriptor]) -> Manifest:
    """The manifest of what the registry has got: the same one where nothing was compressed."""
    layers = tuple(sent[layer] for layer in found.layers)
    return found if layers == found.layers else with_layers(found, layers)


class _Push:
    """Blobs on their way to one repository."""

    def __init__(
        self,
        catalog: Catalog,
        client: RegistryClient,
        elsewhere: dict[Digest, str],
        progress: Progress,
        packing: Executor,
    ) -> None:
        self._catalog, self._client, self._packing = catalog, client, packing
        self._elsewhere, self._progress = elsewhere, progress

    def send(self, blob: Descriptor) -> Descriptor:
        """Have the blob, or what its compression gives, at the registry."""
        part = blob.digest.short
        packs = blob.media_type in _PACKED
        known = self._packed(blob) if packs else blob
        if known is not None and self._client.has_blob(known.digest):
            self._progress.status(part, "Layer already exists")
            return known
        self._progress.status(part, "Preparing")
        if known is not None and self._mounted(known, part):
            return known
        if packs:
            digest, size = self._compressed(blob)
            self._catalog.remember_packed(blob.digest, digest, size)
            known = blob._replace(media_type=_PACKED[blob.media_type], digest=digest, size=size)
        else:
            self._client.upload(blob, lambda: self._counted(blob))
        assert known is not None
        self._progress.status(part, "Pushed")
        return known

    def _compressed(self, blob: Descriptor) -> tuple[Digest, int]:
        """What is cut off is packed again, which gives the same bytes, and goes on there."""

        def packed() -> Iterator[bytes]:
            with ahead(gzip_segments(self._counted(blob), tight, self._packing)) as chunks:
                yield from chunks

        return self._client.upload_stream(packed)

    def _packed(self, blob: Descriptor) -> Descriptor | None:
        found = self._catalog.recall_packed(blob.digest)
        if found is None:
            return None
        digest, size = found
        return blob._replace(media_type=_PACKED[blob.media_type], digest=digest, size=size)

    def _mounted(self, blob: Descriptor, part: str) -> bool:
        """Whether the registry takes it from another of its repositories."""
        source = self._elsewhere.get(blob.digest)
        if source is None or not self._client.mount(blob.digest, source):
            return False
        self._progress.status(part, f"Mounted from {source}")
        return True

    def _counted(self, blob: Descriptor) -> Iterator[bytes]:
        """The blob's bytes; damaged ones never reach their end, so the registry refuses them."""
        done = 0
        for chunk in self._catalog.blobs.chunks(blob):
            done += len(chunk)
            self._progress.advance(blob.digest.short, "Pushing", done, blob.size)
            yield chunk
