"""Turns a manifest's digest into the signatures that its registry holds, and adds one.

Two places, both cosign's: the tag ``sha256-<hex>.sig`` (specs/SIGNATURE_SPEC.md), which skopeo and
podman read too, and a referrer (OCI distribution-spec 1.1, "Listing Referrers"; where the registry
has no such call, the tag ``sha256-<hex>``). What comes from there is nobody's word.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import Digest, digest_of, parse_digest
from dockyard.base.oci.manifest import LARGEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.node.image.blobs import verified
from dockyard.node.image.image import ContentMismatch, ImageNotFound, RegistryUnavailable
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.registry.transport import reason
from dockyard.node.image.trust import payload

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
MOST = 64
"""Signatures that are looked at in one place; who adds more hides his own."""
_NO_SUCH_CALL = (400, 404, 405, 501)
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, in every signature of cosign's


class Signature(NamedTuple):
    """Bytes and what shall prove them; whose it is nobody knows yet."""

    data: bytes
    proof: bytes
    where: str


def tag_of(digest: Digest, suffix: str = ".sig") -> str:
    return f"{digest.algorithm}-{digest.hex}{suffix}"


def find(client: RegistryClient, digest: Digest) -> Iterator[Signature]:
    """All signatures of one manifest, the tag's first; asked for only as far as they are taken."""
    tag = tag_of(digest)
    yield from _of_document(client, _document(client, tag), f"signature {tag}")
    for descriptor in referrers(client, digest)[0][:MOST]:
        if descriptor.get("artifactType") != ARTIFACT:
            continue
        named = parse_digest(descriptor.get("digest"), f"referrer of {digest}")
        data = _document(client, named)
        if data is not None and digest_of(data) != named and named.algorithm == "sha256":
            raise ContentMismatch(f"signature {named}: the registry sent {digest_of(data)}")
        yield from _of_document(client, data, f"signature {named}")


def referrers(client: RegistryClient, digest: Digest) -> tuple[list[dict[str, Any]], bool]:
    """Descriptors of what points to a manifest, and whether the registry itself keeps the list."""
    with client.ask("GET", f"referrers/{digest}", {"Accept": OCI_INDEX}) as answer:
        native = answer.status == 200
        if not native and answer.status not in _NO_SUCH_CALL:
            raise RegistryUnavailable(
                f"registry: {client.name.registry}: referrers: {answer.status} {reason(answer)}"
            )
        body = answer.read(LARGEST)
    data = body if native else _document(client, tag_of(digest, ""))
    if data is None:
        return [], native
    value = decode_object(data, f"referrers of {digest}", limit=LARGEST)
    found = value.get("manifests")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Invalid(f"referrers of {digest}: manifests: a list of descriptors is expected")
    return found, native


def attach(client: RegistryClient, subject: Descriptor, data: bytes, proof: bytes) -> str:
    """Store a signature in both places; empty, or why the registry keeps no referrer."""
    blob = Descriptor(
        PAYLOAD, digest_of(data), len(data),
        annotations=((ANNOTATION, base64.b64encode(proof).decode()),),
    )  # fmt: skip
    _upload(client, blob, data)
    tag = tag_of(subject.digest)
    before = _document(client, tag)
    layers = [*_layers(before, f"signature {tag}"), blob] if before else [blob]
    client.put_manifest(tag, OCI_MANIFEST, _manifest(client, OCI_CONFIG, layers))
    referrer = _manifest(client, ARTIFACT, [blob], subject)
    try:
        client.put_manifest(digest_of(referrer), OCI_MANIFEST, referrer)
        list_referrer(client, subject.digest, referrer, ARTIFACT)
    except DockyardError as error:
        return str(error)
    return ""


def carry(origin: RegistryClient, goal: RegistryClient, digest: Digest) -> int:
    """Take the signatures along to where the image went; how many were not there yet."""
    known = {(each.data, each.proof) for each in find(goal, digest)}
    fetched, carried = None, 0
    for each in find(origin, digest):
        if (each.data, each.proof) in known:
            continue
        known.add((each.data, each.proof))
        fetched = fetched or goal.manifest(digest)
        kind = fetched.media_type or OCI_MANIFEST
        attach(goal, Descriptor(kind, digest, len(fetched.data)), each.data, each.proof)
        carried += 1
    return carried


def list_referrer(
    client: RegistryClient,
    subject: Digest,
    referrer: bytes,
    artifact_type: str,
    media_type: str = OCI_MANIFEST,
) -> None:
    """Where the registry keeps no list of referrers, a client does ("Referrers Tag Schema")."""
    known, native = referrers(client, subject)
    digest = digest_of(referrer)
    if native or any(item.get("digest") == digest for item in known):
        return
    mine = {"mediaType": media_type, "digest": digest, "size": len(referrer),
            "artifactType": artifact_type}  # fmt: skip
    value = decode_object(referrer, f"referrer {digest}", limit=LARGEST)
    if annotations := value.get("annotations"):
        mine["annotations"] = annotations
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*known, mine]}
    client.put_manifest(tag_of(subject, ""), OCI_INDEX, encode(index))


def _manifest(
    client: RegistryClient, kind: str, layers: list[Descriptor], subject: Descriptor | None = None
) -> bytes:
    diffs = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    config = encode({"architecture": "", "created": _NEVER, "history": [{"created": _NEVER}],
                     "os": "", "rootfs": diffs, "config": {}})  # fmt: skip
    described = Descriptor(kind, digest_of(config), len(config))
    _upload(client, described, config)
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return encode(value | ({"subject": subject.to_json()} if subject else {}))


def _upload(client: RegistryClient, blob: Descriptor, data: bytes) -> None:
    if not client.has_blob(blob.digest):
        client.upload(blob, lambda: [data])


def _document(client: RegistryClient, target: str) -> bytes | None:
    try:
        return client.manifest(target).data
    except ImageNotFound:
        return None


def _layers(data: bytes, what: str) -> list[Descriptor]:
    value = decode_object(data, what, limit=LARGEST)
    found = value.get("layers")
    if not isinstance(found, list):
        raise Invalid(f"{what}: layers: a list is expected")
    return [parse_descriptor(item, what) for item in found]


def _of_document(client: RegistryClient, data: bytes | None, what: str) -> Iterator[Signature]:
    if data is None:
        return
    for layer in _layers(data, what)[:MOST]:
        proof = dict(layer.annotations).get(ANNOTATION)
        if layer.media_type != PAYLOAD or proof is None or layer.size > payload.LARGEST:
            continue
        try:
            signed = base64.b64decode(proof, validate=True)
        except (binascii.Error, ValueError):
            continue  # no signature of anybody's
        yield Signature(b"".join(verified(client.blob(layer), layer)), signed, what)
