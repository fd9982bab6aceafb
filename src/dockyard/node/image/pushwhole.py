"""Turns a bundle here into the same one at a registry: an index with its images, or an artifact,
and what is here about them. Digests stay: nothing is packed anew.
"""

from dockyard.base.errors import Conflict, Unsupported
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import Index, Manifest
from dockyard.base.oci.reference import Reference
from dockyard.node.image.bundles import Bundle
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.progress import Progress
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.together import every_blob
from dockyard.node.image.trust.attachments import list_referrer

_DEEPEST = 4


def is_whole(catalog: Catalog, name: Reference, bundle: Bundle, progress: Progress) -> bool:
    """Whether all of it can be sent. Of an index that is here in part the image for this machine
    is sent alone, as docker does; :class:`Conflict` where there is none."""
    if not isinstance(bundle.document, Index):
        return True
    missing = [child.entry for child in catalog.bundles.children(bundle.document)
               if not child.whole]  # fmt: skip
    if not missing:
        return True
    what = ", ".join(str(entry.platform or entry.digest) for entry in missing)
    hint = "`dockyard pull --all-platforms` brings what is missing"
    try:
        catalog.resolve(str(name))
    except Unsupported as error:
        raise Conflict(f"push: {name}: {what}: is not here; {hint}") from error
    progress.note(f"{name.target}: {what}: is not here: this machine's image is sent alone; {hint}")
    return False


def push_whole(
    catalog: Catalog,
    hosts: Hosts,
    name: Reference,
    bundle: Bundle,
    auth: Credentials | None,
    progress: Progress,
) -> Digest:
    """The document goes last, after all that it names; then what is about it."""
    progress.note(f"The push refers to repository [{name.name}]")
    document = bundle.document
    with RegistryClient(hosts, name, auth, "pull,push") as client:
        sender = _Sender(catalog, client, progress)
        if isinstance(document, Index):
            for child in catalog.bundles.children(document):
                if child.manifest is None:
                    raise Conflict(f"push: {name}: {child.entry.digest}: has gone meanwhile")
                sender.manifest(child.manifest, child.entry.digest)
        else:
            sender.blobs(document)
        client.put_manifest(name.target, document.media_type, document.data)
        inside = [item.digest for item in document.manifests] if isinstance(document, Index) else []
        sender.referrers([bundle.digest, *inside])
    progress.note(f"{name.target}: digest: {bundle.digest} size: {len(document.data)}")
    return bundle.digest


class _Sender:
    """What is here, on its way to one repository."""

    def __init__(self, catalog: Catalog, client: RegistryClient, progress: Progress) -> None:
        self._catalog, self._client, self._progress = catalog, client, progress

    def manifest(self, found: Manifest, digest: Digest) -> None:
        """A manifest without a tag, after its blobs."""
        self.blobs(found)
        self._client.put_manifest(digest, found.media_type, found.data)

    def referrers(self, subjects: list[Digest]) -> None:
        """What is about these, and what is about that."""
        seen: set[Digest] = set()
        for _ in range(_DEEPEST):
            fresh: list[Digest] = []
            for subject in subjects:
                for bundle in self._catalog.bundles.referrers(subject):
                    if bundle.digest in seen or not isinstance(bundle.document, Manifest):
                        continue
                    seen.add(bundle.digest)
                    self.manifest(bundle.document, bundle.digest)
                    list_referrer(
                        self._client, subject, bundle.document.data, bundle.meaning.artifact_type
                    )
                    fresh.append(bundle.digest)
            subjects = fresh

    def blobs(self, found: Manifest) -> None:
        """All that a manifest names, several at once."""
        every_blob((*found.layers, found.config), self._one)

    def _one(self, blob: Descriptor) -> None:
        part = blob.digest.short
        if self._client.has_blob(blob.digest):
            self._progress.status(part, "Layer already exists")
            return
        self._progress.status(part, "Preparing")
        self._client.upload(blob, lambda: self._catalog.blobs.chunks(blob))
        self._progress.status(part, "Pushed")
