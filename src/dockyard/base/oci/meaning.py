"""Turns a manifest or index into what else it says: its type, what it is about, its annotations.

OCI image-spec 1.1, manifest.md ("Guidelines for Artifact Usage") and image-index.md.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.manifest import CONFIGS, LARGEST, Index, Manifest
from dockyard.base.oci.strictjson import decode_object
from dockyard.base.typed import NamedTuple

EMPTY = "application/vnd.oci.empty.v1+json"


class Meaning(NamedTuple):
    """Beyond its parts."""

    artifact_type: str
    """Empty for an image, and for an index that names no type."""
    subject: Descriptor | None
    annotations: tuple[tuple[str, str], ...]


def meaning_of(document: Manifest | Index) -> Meaning:
    """Raises :class:`Invalid` for fields of another kind."""
    what = f"manifest {document.digest}"
    value = decode_object(document.data, what, limit=LARGEST)
    kind = value.get("artifactType", "")
    if not isinstance(kind, str):
        raise Invalid(f"{what}: artifactType: a text is expected")
    if not kind and isinstance(document, Manifest) and document.config.media_type not in CONFIGS:
        kind = document.config.media_type
    subject = value.get("subject")
    marks = value.get("annotations") or {}
    if not isinstance(marks, dict) or not all(isinstance(text, str) for text in marks.values()):
        raise Invalid(f"{what}: annotations: an object of texts is expected")
    return Meaning(
        kind,
        None if subject is None else parse_descriptor(subject, f"{what}: subject"),
        tuple(sorted(marks.items())),
    )


def is_artifact(document: Manifest) -> bool:
    """Whether it is no image: nothing of it is to be unpacked."""
    return bool(meaning_of(document).artifact_type)
