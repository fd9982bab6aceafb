"""Turns an image in a registry and a private key into a signature beside it, and looks for one."""

from typing import NamedTuple

from dockyard.base.aio import now
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import Index, parse_document
from dockyard.base.oci.reference import Reference
from dockyard.base.version import VERSION
from dockyard.node.image.blobs import verified
from dockyard.node.image.progress import Progress
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.trust.attachments import attach, find
from dockyard.node.image.trust.keys import PrivateKey, PublicKey
from dockyard.node.image.trust.keys import sign as prove
from dockyard.node.image.trust.payload import Claim, encode_claim
from dockyard.node.image.trust.refusal import SignatureRefused
from dockyard.node.image.trust.verify import Judged


class Verified(NamedTuple):
    """An image that a key has signed, and the claims that say so."""

    digest: Digest
    claims: tuple[Claim, ...]


def sign(
    hosts: Hosts,
    name: Reference,
    key: PrivateKey,
    identity: str,
    auth: Credentials | None,
    progress: Progress,
) -> Digest:
    """See :meth:`ImageStore.sign`. Of an index all manifests are signed too: podman and skopeo look
    for the signature of the one that they take."""
    said = identity or (name.name if name.digest else str(name))
    with RegistryClient(hosts, name, auth, "pull,push") as client:
        digest, subjects = _subjects(client, name)
        for subject in subjects:
            claim = Claim(said, subject.digest)
            judged = Judged((key.public_key(),), (subject.digest,))
            if claim in judged.claims(find(client, subject.digest)):
                progress.note(f"{subject.digest}: is signed by this key already")
                continue
            data = encode_claim(claim, f"dockyard {VERSION}", now.wall())
            if why := attach(client, subject, data, prove(key, data)):
                progress.note(f"warning: {subject.digest}: signed by tag only: {why}")
            progress.note(f"{subject.digest}: signed as {said}")
    return digest


def verify(
    hosts: Hosts, name: Reference, keys: tuple[PublicKey, ...], auth: Credentials | None
) -> Verified:
    """See :meth:`ImageStore.verify_signature`."""
    with RegistryClient(hosts, name, auth, "pull") as client:
        digest, _ = _subjects(client, name)
        judged = Judged(keys, (digest,))
        claims = tuple(dict.fromkeys(judged.claims(find(client, digest))))  # tag, referrer
    if not claims:
        raise SignatureRefused(f"image {name}: {digest}: {judged.why()}")
    return Verified(digest, claims)


def _subjects(client: RegistryClient, name: Reference) -> tuple[Digest, list[Descriptor]]:
    fetched = client.manifest(name.target)
    what = f"image {name}"
    document = parse_document(fetched.data, fetched.media_type, what)
    digest = document.digest
    if name.digest is not None and name.digest.algorithm == "sha512":
        digest = name.digest
    for _ in verified([fetched.data], Descriptor("", name.digest or digest, len(fetched.data))):
        pass
    subjects = [Descriptor(document.media_type, digest, len(fetched.data))]
    if isinstance(document, Index):
        subjects += [Descriptor(item.media_type, item.digest, item.size)
                     for item in document.manifests]  # fmt: skip
    return digest, subjects
