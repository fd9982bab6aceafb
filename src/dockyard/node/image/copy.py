"""Turns an image of one registry into the same one of another: nothing is unpacked or kept here.

An index goes with all its images, or with one platform's alone; artifacts go too. Digests stay, and
every byte is held against its own on the way. Signatures go along, and with ``referrers`` all that
is about it: in the list of OCI 1.1, and cosign's tags for attestations and SBOMs.
"""

import contextlib

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import Index, Manifest
from dockyard.base.oci.platform import Platform
from dockyard.base.oci.reference import Reference
from dockyard.node.image.blobs import verified
from dockyard.node.image.image import ImageNotFound
from dockyard.node.image.progress import Progress
from dockyard.node.image.pull import document_of, image_of
from dockyard.node.image.referrers import every_referrer
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.together import every_blob
from dockyard.node.image.trust.attachments import carry, list_referrer, tag_of
from dockyard.node.image.trust.gate import admit

_COSIGN = (".att", ".sbom")
"""Tags of attestations and SBOMs (cosign's specs/, beside ``.sig``)."""


def copy(
    data_root: str,
    hosts: Hosts,
    source: Reference,
    target: Reference,
    platform: Platform | None,
    auth: tuple[Credentials | None, Credentials | None],
    progress: Progress,
    *,
    referrers: bool = False,
) -> Digest:
    """See :meth:`ImageStore.copy`. What points to something goes after it; signatures go too."""
    if target.digest is not None:
        raise Invalid(f"image copy: {target}: a tag is expected, not a digest")
    what = f"image {source}"
    same = source.registry == target.registry and source.repository != target.repository
    elsewhere = (source.repository,) if same else ()
    with (
        RegistryClient(hosts, source, auth[0], "pull") as origin,
        RegistryClient(hosts, target, auth[1], "pull,push", elsewhere) as goal,
    ):
        found = document_of(origin, source.target, source.digest, what)
        if platform is not None:
            found = image_of(origin, found, platform, what)
        carrier = _Copy(origin, goal, source.repository if same else "", progress)
        inside = [item.digest for item in found.manifests] if isinstance(found, Index) else []
        for digest in inside or [found.digest]:
            admit(data_root, origin, source, (found.digest, digest))
        carrier.inside(found, what)
        goal.put_manifest(target.target, found.media_type, found.data)
        for digest in (found.digest, *inside):
            if carried := carry(origin, goal, digest):
                progress.note(f"{digest}: {carried} signatures")
        if referrers:
            carrier.referrers([found.digest, *inside], what)
    progress.note(f"{target.target}: digest: {found.digest} size: {len(found.data)}")
    return found.digest


class _Copy:
    """Blobs from one repository to another."""

    def __init__(
        self, origin: RegistryClient, goal: RegistryClient, mount: str, progress: Progress
    ) -> None:
        self._origin, self._goal = origin, goal
        self._mount, self._progress = mount, progress

    def inside(self, found: Manifest | Index, what: str) -> None:
        """All that a document names: blobs, and of an index its images whole."""
        if isinstance(found, Manifest):
            self.blobs(found)
            return
        for entry in found.manifests:
            inner = document_of(self._origin, entry.digest, entry.digest, what)
            if not isinstance(inner, Manifest):
                raise Invalid(f"{what}: an index in an index; refused")
            self.blobs(inner)
            self._goal.put_manifest(entry.digest, inner.media_type, inner.data)

    def referrers(self, subjects: list[Digest], what: str) -> None:
        """What is about these, and what is about that."""
        for subject, entry, kind in every_referrer(self._origin, subjects, what):
            found = document_of(self._origin, entry.digest, entry.digest, what)
            self.inside(found, what)
            self._goal.put_manifest(entry.digest, found.media_type, found.data)
            list_referrer(self._goal, subject, found.data, kind, found.media_type)
            self._progress.note(f"{entry.digest.short}: about {subject.short}: {kind or 'copied'}")
        for subject in subjects:
            for suffix in _COSIGN:
                tag = tag_of(subject, suffix)
                with contextlib.suppress(ImageNotFound):
                    found = document_of(self._origin, tag, None, what)
                    self.inside(found, what)
                    self._goal.put_manifest(tag, found.media_type, found.data)
                    self._progress.note(f"{tag}: copied")

    def blobs(self, found: Manifest) -> None:
        """All that a manifest names, several at once."""
        every_blob((*found.layers, found.config), self._one)

    def _one(self, blob: Descriptor) -> None:
        part = blob.digest.short
        if self._goal.has_blob(blob.digest):
            self._progress.status(part, "Layer already exists")
        elif self._mount and self._goal.mount(blob.digest, self._mount):
            self._progress.status(part, f"Mounted from {self._mount}")
        else:
            self._progress.status(part, "Preparing")
            self._goal.upload(blob, lambda: verified(self._origin.blob(blob), blob))
            self._progress.status(part, "Pushed")
