"""Turns a name into an image on this machine: fetched, verified, unpacked, listed.

Only when all is here does the image get its name: a pull that is cut leaves nothing that looks
whole.
"""

from dockyard.base.errors import Invalid
from dockyard.base.oci import imageconfig, manifest
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest, digest_of, parse_digest
from dockyard.base.oci.imageconfig import parse_config
from dockyard.base.oci.manifest import Index, Manifest, check_image, choose, parse_document
from dockyard.base.oci.platform import Platform, host_platform, refuse_windows
from dockyard.base.oci.reference import Reference
from dockyard.node.image.blobs import verified
from dockyard.node.image.catalog import Catalog, layers_of
from dockyard.node.image.fetch import fetch_layers
from dockyard.node.image.image import (
    ContentMismatch,
    Image,
    ImageNotFound,
    RegistryDenied,
    RegistryUnavailable,
)
from dockyard.node.image.progress import Progress
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.mirrors import Place, from_first, reached
from dockyard.node.image.registry.shortnames import resolve_short
from dockyard.node.image.trust.gate import admit


def pull_short(
    catalog: Catalog,
    hosts: Hosts,
    text: str,
    platform: Platform | None,
    auth: Credentials | None,
    progress: Progress,
) -> Image:
    """See :meth:`ImageStore.pull`. A name without a registry is looked for where registries.conf
    says, visibly; without it, it is docker.io's."""
    resolved = resolve_short(hosts, text)
    if resolved.note:
        progress.note(resolved.note)
    several = len(resolved.names) > 1
    if several and auth is not None:
        raise Invalid(f"image {text}: one of several registries' ({resolved.source}): credentials "
                      "are given to the one that the full name has")  # fmt: skip
    failures: list[str] = []
    for name in resolved.names:
        if resolved.note:
            progress.note(f"Trying to pull {name}...")
        try:
            return pull(catalog, hosts, name, platform, auth, progress)
        except (ImageNotFound, RegistryDenied, RegistryUnavailable) as error:
            if not several:
                raise
            failures.append(str(error))
            last = error
    raise type(last)(f"image {text}: {len(failures)} registries of {resolved.source}: "
                     f"{'; '.join(failures)}")  # fmt: skip


def pull(
    catalog: Catalog,
    hosts: Hosts,
    name: Reference,
    platform: Platform | None,
    auth: Credentials | None,
    progress: Progress,
) -> Image:
    """See :meth:`ImageStore.pull`. A mirror that has it not, or does not answer, is passed over."""
    return from_first(
        hosts,
        name,
        progress.note,
        lambda place: _pull_from(catalog, hosts, name, place, platform, auth, progress),
    )


def _pull_from(
    catalog: Catalog,
    hosts: Hosts,
    name: Reference,
    place: Place,
    platform: Platform | None,
    auth: Credentials | None,
    progress: Progress,
) -> Image:
    what = f"image {name}"
    shown = None if place.mirror else auth  # what was given is for the registry that was named
    client = RegistryClient(reached(hosts, place), place.name, shown, "pull")
    with client, catalog.adding():
        progress.note(f"{name.target}: Pulling from {name.repository}")
        listed = document_of(client, name.target, name.digest, what)
        found = image_of(client, listed, platform or host_platform(), what)
        check_image(found, what)
        admit(catalog.data_root, client, name, (listed.digest, found.digest))
        raw = _config(client, found, what)
        config = parse_config(raw, what)
        if not (platform or host_platform()).runs(config.platform):
            progress.note(f"warning: {name} is for {config.platform}")
        fetched = fetch_layers(catalog, layers_of(found, config), client.blob, progress)
        catalog.blobs.put(raw)
        catalog.blobs.put(found.data)
        known = catalog.named(name) == found.digest
        tag = () if name.digest else (str(name),)
        image = catalog.add(found, (f"{name.name}@{listed.digest}", *tag))
        progress.note(f"Digest: {listed.digest}")
        progress.note(_status(name, fresh=bool(fetched) or not known))
        return image


def document_of(
    client: RegistryClient, target: str, expected: Digest | None, what: str
) -> Manifest | Index:
    """What lies under a tag or digest, held against the digest that was asked for or claimed."""
    fetched = client.manifest(target)
    claimed = parse_digest(fetched.digest, what) if fetched.digest and not expected else expected
    found = digest_of(fetched.data)
    if claimed is not None and claimed.algorithm == "sha256" and claimed != found:
        raise ContentMismatch(f"{what}: the registry sent {found} for {claimed}; refused")
    if claimed is not None and claimed.algorithm != "sha256":
        for _ in verified([fetched.data], Descriptor("", claimed, len(fetched.data))):
            pass
    return parse_document(fetched.data, fetched.media_type, what)


def image_of(
    client: RegistryClient, document: Manifest | Index, platform: Platform, what: str
) -> Manifest:
    """The manifest itself, or the index' one for this platform. An index in an index is refused:
    no registry needs one for images, and it has no end (B09)."""
    if isinstance(document, Manifest):
        return document
    chosen = choose(document, platform, what)
    if chosen.platform is not None:
        refuse_windows(chosen.platform, what)
    if chosen.media_type not in manifest.MANIFESTS or chosen.size > manifest.LARGEST:
        raise Invalid(f"{what}: its index names a {chosen.media_type} of {chosen.size} bytes")
    found = document_of(client, chosen.digest, chosen.digest, what)
    if not isinstance(found, Manifest) or len(found.data) != chosen.size:
        raise ContentMismatch(f"{what}: {chosen.digest}: is not what its index says; refused")
    return found


def _config(client: RegistryClient, found: Manifest, what: str) -> bytes:
    if found.config.size > imageconfig.LARGEST:
        raise Invalid(f"{what}: a configuration of {found.config.size} bytes; refused")
    return b"".join(verified(client.blob(found.config), found.config))


def _status(name: Reference, *, fresh: bool) -> str:
    if fresh:
        return f"Status: Downloaded newer image for {name.familiar}"
    return f"Status: Image is up to date for {name.familiar}"
