"""Turns a name at a registry into a bundle here: an index with all its images, or an artifact.

Digests stay. With ``referrers`` comes what is about them too: signatures, SBOMs, whatever there is.
"""

from collections.abc import Callable, Iterable

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import ACCEPT, Index, Manifest
from dockyard.base.oci.meaning import is_artifact
from dockyard.base.oci.reference import Reference
from dockyard.node.image.bundles import Bundle
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.progress import Progress
from dockyard.node.image.pull import document_of
from dockyard.node.image.referrers import every_referrer
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.mirrors import Place, from_first, reached
from dockyard.node.image.trust.gate import admit
from dockyard.node.image.whole import Whole


def pull_whole(
    catalog: Catalog,
    hosts: Hosts,
    name: Reference,
    auth: Credentials | None,
    progress: Progress,
    *,
    referrers: bool,
) -> Bundle | None:
    """See :meth:`ImageStore.pull_whole`. A mirror that has it not is passed over."""
    return from_first(
        hosts,
        name,
        progress.note,
        lambda place: _from(catalog, hosts, name, place, auth, progress, referrers),
    )


def _from(
    catalog: Catalog,
    hosts: Hosts,
    name: Reference,
    place: Place,
    auth: Credentials | None,
    progress: Progress,
    referrers: bool,
) -> Bundle | None:
    what = f"image {name}"
    shown = None if place.mirror else auth  # what was given is for the registry that was named
    client = RegistryClient(reached(hosts, place), place.name, shown, "pull")
    with client, catalog.adding():
        progress.note(f"{name.target}: Pulling from {name.repository}")
        found = document_of(client, name.target, name.digest, what)
        whole = Whole(catalog, source_of(client), lambda _: True, progress, what)
        pinned = f"{name.name}@{found.digest}"
        names = (pinned,) if name.digest else (str(name),)
        inside = [item.digest for item in found.manifests] if isinstance(found, Index) else []
        for digest in inside or [found.digest]:
            admit(catalog.data_root, client, name, (found.digest, digest))
        if isinstance(found, Index):
            whole.index(found, names, tuple(dict.fromkeys((pinned, *names))))
        elif is_artifact(found):
            whole.artifact(found, names)
        else:
            whole.image(found, tuple(dict.fromkeys((pinned, *names))))
        if referrers:
            _bring(client, whole, [found.digest, *inside], what)
        progress.note(f"Digest: {found.digest}")
        return catalog.bundles.view(found.digest)


def source_of(client: RegistryClient) -> Callable[[Descriptor], Iterable[bytes]]:
    """A registry has manifests and blobs in two places."""

    def source(blob: Descriptor) -> Iterable[bytes]:
        if blob.media_type in ACCEPT:
            return [client.manifest(blob.digest).data]
        return client.blob(blob)

    return source


def _bring(client: RegistryClient, whole: Whole, subjects: list[Digest], what: str) -> None:
    """Every referrer of these, and theirs; each once."""
    for _, entry, _ in every_referrer(client, subjects, what):
        found = whole.document(entry)
        if not isinstance(found, Manifest):
            raise Invalid(f"{what}: {entry.digest}: a referrer that is an index; refused")
        whole.artifact(found, ())
