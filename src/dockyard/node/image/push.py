"""Turns a local image into blobs and a manifest at the registry that its name says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.reference import Reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.progress import Progress
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts

_AT_ONCE = 3


def push(
    catalog: Catalog, hosts: Hosts, name: Reference, auth: Credentials | None, progress: Progress
) -> Digest:
    """See :meth:`ImageStore.push`. The manifest goes last: the registry never lists a part."""
    if name.digest is not None:
        raise Invalid(f"push: {name}: a tag is expected, not a digest")
    image = catalog.resolve(str(name))
    found = image.manifest
    progress.note(f"The push refers to repository [{name.name}]")
    with RegistryClient(hosts, name, auth, "pull,push") as client:

        def send(blob: Descriptor) -> None:
            part = blob.digest.short
            if client.has_blob(blob.digest):
                progress.status(part, "Layer already exists")
                return
            progress.status(part, "Preparing")
            client.upload(blob, lambda: _counted(catalog, blob, progress))
            progress.status(part, "Pushed")

        blobs = dict.fromkeys((*found.layers, found.config))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="push") as pool:
            try:
                for _ in pool.map(send, blobs):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        client.put_manifest(name.target, found.media_type, found.data)
    if f"{name.name}@{found.digest}" not in image.digests:
        catalog.add(found, (f"{name.name}@{found.digest}",))
    progress.note(f"{name.target}: digest: {found.digest} size: {len(found.data)}")
    return found.digest


def _counted(catalog: Catalog, blob: Descriptor, progress: Progress) -> Iterator[bytes]:
    """The blob's bytes; damaged ones never reach their end, so the registry refuses them too."""
    done = 0
    for chunk in catalog.blobs.chunks(blob):
        done += len(chunk)
        progress.advance(blob.digest.short, "Pushing", done, blob.size)
        yield chunk
