"""Turns a manifest that somebody pushes into what a registry has to know of it.

Any artifact is welcome; a document that two clients could take for two things is not (B08).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.oci import manifest as forms
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.registry.server.refusal import Refusal

MOST = 50_000
"""Descriptors of one document; four megabytes hold fewer."""


class Pushed(NamedTuple):
    """A document as it will be kept."""

    media_type: str
    blobs: tuple[Digest, ...]
    """That have to be here."""
    away: tuple[Digest, ...]
    """Blobs with addresses elsewhere (foreign layers): they may be missing."""
    manifests: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str
    """As the referrers API tells it; empty where there is none."""
    annotations: dict[str, str]


def parse_pushed(data: bytes, content_type: str) -> Pushed:
    """A manifest or index, of OCI or Docker; :class:`Refusal` says what is wrong with it."""
    try:
        return _parse(data, content_type.partition(";")[0].strip().lower())
    except DockyardError as error:
        raise Refusal("MANIFEST_INVALID", str(error)) from error


def _parse(data: bytes, said: str) -> Pushed:
    value = decode_object(data, "manifest", limit=forms.LARGEST)
    kind = _kind(value, said)
    annotations = value.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(
        isinstance(text, str) for text in annotations.values()
    ):
        raise Invalid("manifest: annotations: an object of texts is expected")
    artifact = value.get("artifactType", "")
    if not isinstance(artifact, str):
        raise Invalid("manifest: artifactType: a text is expected")
    about = value.get("subject")
    subject = None if about is None else parse_descriptor(about, "manifest: subject").digest
    if kind in forms.INDEXES:
        children = tuple(item.digest for item in _descriptors(value, "manifests"))
        return Pushed(kind, (), (), children, subject, artifact, annotations)
    config = parse_descriptor(value.get("config"), "manifest: config")
    layers = _descriptors(value, "layers")
    here = (config.digest, *(layer.digest for layer in layers if not layer.urls))
    away = tuple(layer.digest for layer in layers if layer.urls)
    return Pushed(kind, here, away, (), subject, artifact or config.media_type, annotations)


def _kind(value: dict[str, Any], said: str) -> str:
    inside = value.get("mediaType")
    if said in forms.SCHEMA_1 or inside in forms.SCHEMA_1 or value.get("schemaVersion") == 1:
        raise Invalid("manifest: Docker's schema 1 is not accepted; push it again as schema 2")
    if value.get("schemaVersion") != 2:
        raise Invalid(f"manifest: schemaVersion: {str(value.get('schemaVersion'))[:40]}: must be 2")
    if inside is not None and inside not in forms.ACCEPT:
        raise Invalid(f"manifest: mediaType: {str(inside)[:80]!r}: not a manifest or index")
    if said and said not in forms.ACCEPT:
        raise Invalid(f"manifest: Content-Type: {said[:80]!r}: not a manifest or index")
    if inside is not None and said and inside != said:
        raise Invalid(f"manifest: sent as {said}, but says it is {inside}")
    indexed, layered = "manifests" in value, "layers" in value or "config" in value
    if (indexed and layered) or "fsLayers" in value:
        raise Invalid("manifest: has the fields of a manifest and of an index")
    kind: str = inside or said or (forms.OCI_INDEX if indexed else forms.OCI_MANIFEST)
    if (kind in forms.INDEXES) != indexed:
        raise Invalid(f"manifest: {kind} with the fields of another kind")
    return kind


def _descriptors(value: dict[str, Any], key: str) -> list[Descriptor]:
    found = value.get(key)
    if not isinstance(found, list):
        raise Invalid(f"manifest: {key}: a list is expected")
    if len(found) > MOST:
        raise Invalid(f"manifest: {key}: {len(found)} entries: at most {MOST} are accepted")
    return [parse_descriptor(item, f"manifest: {key}") for item in found]
