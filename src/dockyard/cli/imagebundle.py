"""Turns indexes and artifacts of the store into what ``inspect``, ``images`` and ``tree`` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dockyard.base.oci.manifest import Index, Manifest
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.image.bundles import Bundle
    from dockyard.node.image.store import ImageStore

_NONE = "<none>"


def describe(store: ImageStore, bundle: Bundle) -> dict[str, Any]:
    """An index or artifact of which nothing can run here, in `docker image inspect`'s names."""
    found: dict[str, Any] = {
        "Id": bundle.digest,
        "RepoTags": [imageview.familiar(name) for name in bundle.names],
        "Size": bundle.size,
        "Descriptor": descriptor(bundle),
    }
    document = bundle.document
    if isinstance(document, Manifest):
        found["Layers"] = [
            {**layer.to_json(), "title": dict(layer.annotations).get(_TITLE, "")}
            for layer in document.layers
        ]
    return found | beyond(store, bundle)


_REFERENCE = "vnd.docker.reference.type"
_TITLE = "org.opencontainers.image.title"


def descriptor(bundle: Bundle) -> dict[str, Any]:
    """As docker's containerd image store shows what a name points to."""
    document = bundle.document
    found: dict[str, Any] = {
        "mediaType": document.media_type,
        "digest": bundle.digest,
        "size": len(document.data),
    }
    if bundle.meaning.annotations:
        found["annotations"] = dict(bundle.meaning.annotations)
    if bundle.meaning.artifact_type:
        found["artifactType"] = bundle.meaning.artifact_type
    return found


def beyond(store: ImageStore, bundle: Bundle) -> dict[str, Any]:
    """What an index or artifact has beyond an image: type, subject, manifests, referrers."""
    found: dict[str, Any] = {}
    if bundle.meaning.artifact_type:
        found["ArtifactType"] = bundle.meaning.artifact_type
    if bundle.meaning.subject:
        found["Subject"] = bundle.meaning.subject.to_json()
    if isinstance(bundle.document, Index):
        found["Manifests"] = [
            {"Descriptor": child.entry.to_json(), "Available": child.whole}
            for child in store.catalog.bundles.children(bundle.document)
        ]
    about = [descriptor(each) for each in store.catalog.bundles.referrers(bundle.digest)]
    return found | ({"Referrers": about} if about else {})


def rows(bundle: Bundle, full: bool) -> list[dict[str, str]]:
    """Of `images`: one a name. An index or artifact says no time."""
    from dockyard.base.oci.reference import parse_reference

    identifier = bundle.digest if full else bundle.digest.short
    unknown = dict.fromkeys(
        ("Containers", "CreatedAt", "CreatedSince", "SharedSize", "UniqueSize"), "N/A"
    )
    return [
        {**unknown, "Digest": bundle.digest, "ID": identifier, "Repository": name.familiar_name,
         "Size": imageview.size(bundle.size), "Tag": name.tag or _NONE}
        for name in map(parse_reference, bundle.names)
    ]  # fmt: skip


def tree(store: ImageStore, bundle: Bundle, full: bool) -> Iterator[str]:
    """Lines of `image tree` below a name: platforms, then what is about it all."""
    bundles = store.catalog.bundles
    lines: list[tuple[str, list[Bundle]]] = []
    if isinstance(bundle.document, Index):
        for child in bundles.children(bundle.document):
            digest = child.entry.digest if full else child.entry.digest.short
            size = imageview.size(_size(child.manifest)) if child.whole else "not here"
            platform = str(child.entry.platform) if child.entry.platform else "any platform"
            if dict(child.entry.annotations).get(_REFERENCE) == "attestation-manifest":
                platform = "attestations"
            lines.append((f"{platform}  {digest}  {size}", bundles.referrers(child.entry.digest)))
    else:
        for layer in bundle.document.layers:
            title = dict(layer.annotations).get(_TITLE, layer.media_type)
            digest = layer.digest if full else layer.digest.short
            lines.append((f"{common.printable(title)}  {digest}  {imageview.size(layer.size)}", []))
    lines += [(_about(each, full), []) for each in bundles.referrers(bundle.digest)]
    for number, (line, about) in enumerate(lines):
        last = number == len(lines) - 1
        yield f"{'└─' if last else '├─'} {line}"
        for each in about:
            yield f"{'   ' if last else '│  '}└─ {_about(each, full)}"


def _about(bundle: Bundle, full: bool) -> str:
    digest = bundle.digest if full else bundle.digest.short
    kind = common.printable(bundle.meaning.artifact_type)
    return f"{kind}  {digest}  {imageview.size(bundle.size)}"


def _size(manifest: Manifest | None) -> int:
    if manifest is None:
        return 0
    return len(manifest.data) + sum(blob.size for blob in (manifest.config, *manifest.layers))
