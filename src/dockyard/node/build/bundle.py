"""Turns built images into the documents that leave: manifests, their attestations, an index.

BuildKit's docs/attestations/attestation-storage.md says how attestations lie in an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest, digest_of
from dockyard.base.oci.manifest import LARGEST, OCI_INDEX, OCI_MANIFEST, Manifest
from dockyard.base.oci.platform import Platform
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.node.build import annotate, attest
from dockyard.node.build.attest import Attestations, Statement
from dockyard.node.build.facts import image_url
from dockyard.node.build.provenance import Run, predicate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dockyard.node.build.annotate import Annotation
    from dockyard.node.image.image import Image, Layer
    from dockyard.node.image.store import ImageStore

ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
EMPTY = "application/vnd.oci.empty.v1+json"
_NOTHING = b"{}"
_UNKNOWN = Platform("unknown", "unknown")


class Wanted(NamedTuple):
    """What is to be said of the images, besides themselves."""

    annotations: tuple[Annotation, ...] = ()
    attestations: Attestations = Attestations()
    is_index: bool = False


class Bundle(NamedTuple):
    """All that one output writes."""

    images: tuple[Image, ...]
    """Their manifests with annotations."""
    layers: tuple[tuple[Layer, ...], ...]
    documents: tuple[Manifest, ...]
    """Of images and attestations: what the index lists, or the one image."""
    blobs: dict[Digest, bytes]
    """What no store has: statements, and the configuration of their manifests."""
    index_data: bytes
    """The index itself; empty where there is only one image, and nothing that needs an index."""
    top: Descriptor
    statements: tuple[tuple[Statement, ...], ...]
    """Of each image."""
    is_plain: bool
    """Whether it is one image just as the store has it."""

    @property
    def image(self) -> Image:
        return self.images[0]


def bundle(
    images: tuple[Image, ...],
    layers: tuple[tuple[Layer, ...], ...],
    wanted: Wanted,
    names: Sequence[str],
    store: ImageStore,
    run: Run,
    seconds: float,
) -> Bundle:
    """``seconds``: when documents were made that say so."""
    marked = tuple(_annotated(image, wanted.annotations) for image in images)
    documents = [image.manifest for image in marked]
    entries = [
        image.manifest.descriptor()._replace(
            platform=image.config.platform,
            annotations=annotate.of(
                wanted.annotations, annotate.MANIFEST_DESCRIPTOR, image.config.platform
            ),
        )
        for image in marked
    ]
    blobs: dict[Digest, bytes] = {}
    statements = []
    for image in marked:
        found = _statements(image, wanted.attestations, names, store, run, seconds)
        statements.append(found)
        if found:
            manifest = _attestation(image, found, blobs)
            documents.append(manifest)
            entries.append(_entry(manifest, image))
    on_index = annotate.of(wanted.annotations, annotate.INDEX)
    on_top = annotate.of(wanted.annotations, annotate.INDEX_DESCRIPTOR)
    index = b""
    top = entries[0]._replace(platform=None)
    if len(entries) > 1 or wanted.is_index:
        index = _index(entries, on_index)
        top = Descriptor(OCI_INDEX, digest_of(index), len(index), annotations=on_top)
    elif on_index or on_top:
        raise Invalid("build: --annotation: index annotations not supported for single platform "
                      "export; BUILDKIT_MULTI_PLATFORM=1 makes an index")  # fmt: skip
    is_plain = not index and marked == images
    return Bundle(marked, layers, tuple(documents), blobs, index, top, tuple(statements), is_plain)


def _annotated(image: Image, given: tuple[Annotation, ...]) -> Image:
    found = annotate.of(given, annotate.MANIFEST, image.config.platform)
    if not found:
        return image
    value = decode_object(image.manifest.data, "manifest", limit=LARGEST)
    value["annotations"] = {**value.get("annotations", {}), **dict(found)}
    data = encode(value)
    return image._replace(manifest=image.manifest._replace(digest=digest_of(data), data=data))


def _statements(
    image: Image,
    wanted: Attestations,
    names: Sequence[str],
    store: ImageStore,
    run: Run,
    seconds: float,
) -> tuple[Statement, ...]:
    subjects = [image_url(name, image.config.platform) for name in names]
    found = []
    if wanted.sbom:
        from dockyard.node.image.risk import spdx

        listed = spdx.document(image, names[0] if names else "_", store.risk(image), seconds)
        document = attest.statement(attest.SPDX, subjects, image.digest, listed)
        found.append(Statement(attest.SPDX, "sbom.spdx.json", document))
    if wanted.provenance is not None:
        kind, told = predicate(run, wanted.provenance)
        document = attest.statement(kind, subjects, image.digest, told)
        found.append(Statement(kind, wanted.provenance.filename, document))
    return tuple(found)


def _attestation(
    image: Image, statements: tuple[Statement, ...], blobs: dict[Digest, bytes]
) -> Manifest:
    layers = []
    for each in statements:
        data = encode(each.document)
        blobs[digest_of(data)] = data
        marks = (("in-toto.io/predicate-type", each.kind),)
        layers.append(Descriptor(IN_TOTO, digest_of(data), len(data), annotations=marks))
    config = Descriptor(EMPTY, digest_of(_NOTHING), len(_NOTHING))
    blobs[config.digest] = _NOTHING
    data = encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT,
            "config": {**config.to_json(), "data": "e30="},
            "layers": [layer.to_json() for layer in layers],
            "subject": image.manifest.descriptor().to_json(),
        }
    )
    return Manifest(OCI_MANIFEST, digest_of(data), config, tuple(layers), data)


def _entry(manifest: Manifest, image: Image) -> Descriptor:
    """In the index; the platform keeps runtimes from taking it for an image."""
    marks = (
        ("vnd.docker.reference.digest", str(image.digest)),
        ("vnd.docker.reference.type", "attestation-manifest"),
    )
    return manifest.descriptor()._replace(platform=_UNKNOWN, annotations=marks)


def _index(entries: Sequence[Descriptor], annotations: tuple[tuple[str, str], ...]) -> bytes:
    found = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in entries],
    }
    return encode(found | ({"annotations": dict(annotations)} if annotations else {}))
