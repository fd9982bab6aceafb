"""Turns an image archive into images: docker-archive (``docker save``), oci-archive or a layout.

An index is kept whole, as far as its images are in the archive; artifacts are kept as they are.
"""

from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci import imageconfig
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest, digest_of
from dockyard.base.oci.imageconfig import parse_config
from dockyard.base.oci.manifest import (
    LARGEST,
    OCI_CONFIG,
    OCI_LAYER,
    Index,
    Manifest,
    build_manifest,
    choose,
    parse_document,
)
from dockyard.base.oci.meaning import is_artifact
from dockyard.base.oci.platform import Platform, host_platform
from dockyard.base.oci.reference import Reference, parse_reference
from dockyard.base.oci.strictjson import decode
from dockyard.node.image.archive import Archive, open_archive
from dockyard.node.image.bundles import Bundle
from dockyard.node.image.catalog import Catalog, layers_of
from dockyard.node.image.fetch import fetch_layers
from dockyard.node.image.image import ContentMismatch, Image, ImageNotFound
from dockyard.node.image.progress import Progress
from dockyard.node.image.trust.gate import admit_archive
from dockyard.node.image.whole import Whole

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Loaded(NamedTuple):
    """What came out of an archive."""

    images: list[Image]
    """That this machine can run, unpacked."""
    bundles: list[Bundle]
    """Indexes that were kept whole, and artifacts."""


def load(catalog: Catalog, path: str, progress: Progress) -> Loaded:
    """See :meth:`ImageStore.load`. An archive that is both is read as an OCI layout."""
    with catalog.adding(), open_archive(path, catalog.ingest) as archive:
        if archive.has("index.json"):
            admit_archive(catalog.data_root, "oci-archive", archive.what)
            found = _load_layout(catalog, archive, progress)
        elif archive.has("version") and archive.has("manifest.json"):
            admit_archive(catalog.data_root, "dir", archive.what)
            found = Loaded([_load_folder(catalog, archive, progress)], [])
        elif archive.has("manifest.json"):
            admit_archive(catalog.data_root, "docker-archive", archive.what)
            found = Loaded(_load_docker(catalog, archive, progress), [])
        else:
            raise Invalid(
                f"{archive.what}: neither index.json nor manifest.json is in it: no image archive; "
                "`image import` takes the tar of a root file system"
            )
    told = {name for image in found.images for name in image.names}
    for image in found.images:
        for name in [parse_reference(name).familiar for name in image.names] or [image.id]:
            progress.note(f"Loaded image: {name}")
    for bundle in found.bundles:
        names = [parse_reference(name).familiar for name in bundle.names if name not in told]
        for name in names or ([] if bundle.names else [bundle.digest]):
            progress.note(f"Loaded {'image' if bundle.kind == 'index' else 'artifact'}: {name}")
    return found


def load_one(
    catalog: Catalog, folder: str, wanted: str, platform: Platform | None, progress: Progress
) -> Image:
    """See :meth:`ImageStore.load_one`."""
    with catalog.adding(), open_archive(folder, catalog.ingest) as archive:
        admit_archive(catalog.data_root, "oci-archive", archive.what)
        what = f"{archive.what}: index.json"
        index = parse_document(archive.read("index.json", LARGEST), None, what)
        whole = _whole(catalog, archive, progress)
        for entry in index.manifests if isinstance(index, Index) else ():
            if wanted in (entry.digest, dict(entry.annotations).get(_NAME_ANNOTATIONS[1])):
                found = whole.document(entry)
                if isinstance(found, Index):
                    what = f"{archive.what}: {entry.digest}"
                    found = whole.document(choose(found, platform or host_platform(), what))
                if not isinstance(found, Manifest):
                    raise Invalid(f"{what}: an index in an index; refused")
                return whole.image(found, ())
    raise ImageNotFound(f"{what}: {wanted}: is not in it")


def _whole(catalog: Catalog, archive: Archive, progress: Progress) -> Whole:
    return Whole(
        catalog,
        lambda blob: archive.chunks(_blob(blob.digest)),
        lambda blob: archive.has(_blob(blob.digest)),
        progress,
        archive.what,
    )


def _load_layout(catalog: Catalog, archive: Archive, progress: Progress) -> Loaded:
    index = parse_document(archive.read("index.json", LARGEST), None, f"{archive.what}: index.json")
    if not isinstance(index, Index):
        raise Invalid(f"{archive.what}: index.json: is no index")
    whole = _whole(catalog, archive, progress)
    images: list[Image] = []
    bundles: list[Digest] = []
    about: list[tuple[Digest, Manifest, tuple[str, ...]]] = []
    for entry in index.manifests:
        names = tuple(str(name) for name in _names(entry))
        found = whole.document(entry)
        if isinstance(found, Index):
            image = whole.index(found, names, names)
            images += [image] if image else []
            bundles.append(found.digest)
        elif not is_artifact(found):
            images.append(whole.image(found, names))
        else:
            about.append((found.digest, found, names))
    for digest, artifact, names in about:
        whole.artifact(artifact, names)
        bundles.append(digest)
    return Loaded(images, [bundle for each in bundles if (bundle := catalog.bundles.view(each))])


def _names(entry: Descriptor) -> tuple[Reference, ...]:
    annotations = dict(entry.annotations)
    for key in _NAME_ANNOTATIONS:
        text = annotations.get(key)
        if text and ("/" in text or ":" in text or key == _NAME_ANNOTATIONS[0]):
            return (parse_reference(text),)
    return ()


def _blob(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _load_folder(catalog: Catalog, archive: Archive, progress: Progress) -> Image:
    """containers-transports(5), ``dir:``."""
    data = archive.read("manifest.json", LARGEST)
    found = parse_document(data, None, f"{archive.what}: manifest.json")
    if not isinstance(found, Manifest):
        raise Invalid(f"{archive.what}: manifest.json: an index: not implemented")
    whole = Whole(catalog, lambda blob: archive.chunks(blob.digest.hex),
                  lambda blob: archive.has(blob.digest.hex), progress, archive.what)  # fmt: skip
    return whole.image(found, ())


def _load_docker(catalog: Catalog, archive: Archive, progress: Progress) -> list[Image]:
    """docker-archive: layers are plain tars under names of their own; a manifest is made."""
    what = f"{archive.what}: manifest.json"
    entries = decode(archive.read("manifest.json", LARGEST), what, limit=LARGEST)
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise Invalid(f"{what}: a list of objects is expected")
    return [_load_entry(catalog, archive, entry, progress) for entry in entries]


def _load_entry(
    catalog: Catalog, archive: Archive, entry: dict[str, Any], progress: Progress
) -> Image:
    what = f"{archive.what}: manifest.json"
    config_name, layer_names, tags = (
        entry.get("Config"),
        entry.get("Layers") or [],
        entry.get("RepoTags") or [],
    )
    if not isinstance(layer_names, list) or not isinstance(tags, list):
        raise Invalid(f"{what}: Layers and RepoTags are lists")
    texts = [config_name, *layer_names, *tags]
    if not all(isinstance(text, str) for text in texts):
        raise Invalid(f"{what}: Config, Layers and RepoTags are texts")
    names = tuple(str(parse_reference(tag)) for tag in tags)
    raw = archive.read(str(config_name), imageconfig.LARGEST)
    config = parse_config(raw, f"{archive.what}: {config_name}")
    if len(config.diff_ids) != len(layer_names):
        raise ContentMismatch(f"{what}: layers do not match {config_name}")
    places = {}
    layers = []
    for name in layer_names:
        blob = _measure(archive, name)
        places[blob.digest] = name
        layers.append(blob)
    found = build_manifest(Descriptor(OCI_CONFIG, digest_of(raw), len(raw)), tuple(layers))
    fetch_layers(
        catalog,
        layers_of(found, config),
        lambda blob: archive.chunks(places[blob.digest]),
        progress,
    )
    catalog.blobs.put(raw)
    catalog.blobs.put(found.data)
    return catalog.add(found, names)


def _measure(archive: Archive, name: str) -> Descriptor:
    hasher = Digest("sha256:").hasher()
    for chunk in archive.chunks(name):
        hasher.update(chunk)
    return Descriptor(OCI_LAYER, Digest("sha256:" + hasher.hexdigest()), archive.size(name))
