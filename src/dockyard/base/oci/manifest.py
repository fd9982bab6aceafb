"""Turns a manifest document's bytes into a checked :class:`Manifest` or :class:`Index`.

OCI image-spec 1.1 (manifest.md, image-index.md) and Docker's image manifest version 2, schema 2.
A document that two clients could take for two things is refused (CVE-2021-41190).
"""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import Digest, digest_of
from dockyard.base.oci.platform import Platform, refuse_windows
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.base.typed import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
ACCEPT = (*MANIFESTS, *INDEXES)

LAYERS = {
    OCI_LAYER: "",
    OCI_LAYER + "+gzip": "gzip",
    OCI_LAYER + "+zstd": "zstd",
    DOCKER_LAYER: "",
    DOCKER_LAYER + ".gzip": "gzip",
    DOCKER_LAYER + ".zstd": "zstd",
}
"""Layer media type -> its compression."""

LARGEST = 4 << 20
"""Bytes of a manifest; registries accept about 4 MiB (distribution-spec, "Pushing manifests")."""
MOST_LAYERS = 500
MOST_MANIFESTS = 5000


class SchemaOne(Unsupported):
    """An image in Docker's manifest schema 1, which registries stopped serving."""


class NotAnImage(Unsupported):
    """A manifest that is well formed, and of an artifact."""


class Ambiguous(Invalid):
    """A document that can be read as two kinds of document."""


class Manifest(NamedTuple):
    """One image: its configuration and layers, lowest first."""

    media_type: str
    digest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    data: bytes

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.data))


class Index(NamedTuple):
    """Several manifests, one a platform."""

    media_type: str
    digest: Digest
    manifests: tuple[Descriptor, ...]
    data: bytes


def parse_document(data: bytes, content_type: str | None, what: str) -> Manifest | Index:
    """The manifest or index in ``data``; ``content_type`` is what its carrier said it is.

    Raises :class:`Ambiguous`, :class:`SchemaOne`, or :class:`Invalid` with the field.
    """
    value = decode_object(data, what, limit=LARGEST)
    said = content_type.partition(";")[0].strip() if content_type else None
    kind = _kind(value, said, what)
    digest = digest_of(data)
    if kind in INDEXES:
        entries = _list(value, "manifests", MOST_MANIFESTS, what)
        found = (parse_descriptor(item, f"{what}: manifests") for item in entries)
        return Index(kind, digest, tuple(found), data)
    config = parse_descriptor(value.get("config"), f"{what}: config")
    entries = _list(value, "layers", MOST_LAYERS, what)
    layers = tuple(parse_descriptor(item, f"{what}: layers") for item in entries)
    return Manifest(kind, digest, config, layers, data)


def check_image(manifest: Manifest, what: str) -> None:
    """Refuse a manifest that is well formed but no image that can run (an artifact, say)."""
    if manifest.config.media_type not in CONFIGS:
        raise NotAnImage(f"{what}: config: {manifest.config.media_type}: an artifact, not an image")
    for layer in manifest.layers:
        if layer.media_type not in LAYERS:
            raise Unsupported(
                f"{what}: layer: {layer.media_type}: not implemented; "
                "tar, tar+gzip and tar+zstd are, foreign layers are not fetched"
            )


def build_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> Manifest:
    """An OCI manifest of these parts."""
    data = encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
    )
    return Manifest(OCI_MANIFEST, digest_of(data), config, layers, data)


def with_layers(manifest: Manifest, layers: tuple[Descriptor, ...]) -> Manifest:
    """The same manifest, with whatever else it says, of layers that lie packed otherwise."""
    value = decode_object(manifest.data, "manifest", limit=LARGEST)
    for entry, layer in zip(value["layers"], layers, strict=True):
        entry |= {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
    data = encode(value)
    return manifest._replace(digest=digest_of(data), layers=layers, data=data)


def choose(index: Index, wanted: Platform, what: str) -> Descriptor:
    """The manifest of an index that runs on ``wanted``; the closest variant, then the first."""
    images = [item for item in index.manifests if item.platform is not None]
    fitting = [item for item in images if item.platform and wanted.runs(item.platform)]
    if not fitting and len(index.manifests) == 1 and index.manifests[0].platform is None:
        return index.manifests[0]
    if not fitting:
        if images and all(item.platform and item.platform.os == "windows" for item in images):
            assert images[0].platform is not None
            refuse_windows(images[0].platform, what)
        have = ", ".join(sorted({str(item.platform) for item in images})) or "none"
        raise Unsupported(f"{what}: no image for {wanted}: it has {have}")
    exact = [item for item in fitting if item.platform == wanted]
    return (exact or fitting)[0]


def _kind(value: dict[str, Any], said: str | None, what: str) -> str:
    inside = value.get("mediaType")
    if said in SCHEMA_1 or inside in SCHEMA_1 or value.get("schemaVersion") == 1:
        raise SchemaOne(
            f"{what}: an image in Docker's manifest schema 1: push it again as schema 2"
        )
    if value.get("schemaVersion") != 2:
        raise Invalid(f"{what}: schemaVersion: {str(value.get('schemaVersion'))[:40]}: must be 2")
    if inside is not None and inside not in ACCEPT:
        raise Unsupported(f"{what}: mediaType: {str(inside)[:80]!r} is no manifest or index")
    if said in ACCEPT and inside is not None and said != inside:
        raise Ambiguous(f"{what}: served as {said} but says it is {inside}")
    has_images, has_layers = "manifests" in value, "layers" in value or "config" in value
    if (has_images and has_layers) or "fsLayers" in value:
        raise Ambiguous(f"{what}: has the fields of a manifest and of an index")
    kind = inside or (said if said in ACCEPT else None)
    kind = kind or (OCI_INDEX if has_images else OCI_MANIFEST)
    assert isinstance(kind, str)
    if (kind in INDEXES) != has_images:
        raise Ambiguous(f"{what}: {kind} with the fields of another kind")
    return kind


def _list(value: dict[str, Any], key: str, most: int, what: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise Invalid(f"{what}: {key}: a list is expected")
    if len(found) > most:
        raise Invalid(f"{what}: {key}: {len(found)} entries: at most {most} are accepted")
    return found
