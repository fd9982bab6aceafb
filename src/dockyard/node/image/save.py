"""Turns stored images, indexes and artifacts into archives and folders that others read.

One tar that is an oci-archive and a docker-archive at once, or either alone, or a folder: podman's
names for them.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from dockyard.base.errors import Conflict, DockyardError, Invalid, Unsupported
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import OCI_INDEX, Index, Manifest
from dockyard.base.oci.meaning import meaning_of
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import encode
from dockyard.node.image import tarread
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.compression import decompress
from dockyard.node.image.image import Image
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry

BOTH, DOCKER, OCI = "both", "docker-archive", "oci-archive"
OCI_FOLDER, DOCKER_FOLDER = "oci-dir", "docker-dir"
ARCHIVES = (BOTH, DOCKER, OCI)
FOLDERS = (OCI_FOLDER, DOCKER_FOLDER)
FORMATS = (DOCKER, OCI, OCI_FOLDER, DOCKER_FOLDER)
_VERSION = b"Directory Transport Version: 1.1\n"


class Item(NamedTuple):
    """One thing that is saved."""

    document: Manifest | Index
    names: tuple[str, ...]
    image: Image | None
    """As this machine runs it."""


class File(NamedTuple):
    """One file of an archive or folder."""

    name: str
    size: int
    data: Callable[[], Iterable[bytes]]


def items(catalog: Catalog, references: Iterable[str]) -> list[Item]:
    """What the references mean, each thing once."""
    found: dict[Digest, Item] = {}
    for text in references:
        image: Image | None = None
        bundle = catalog.find_bundle(text)
        try:
            image = catalog.resolve(text)
        except DockyardError:
            if bundle is None:
                raise
        if bundle is not None:
            found[bundle.digest] = Item(bundle.document, bundle.names, image)
        elif image is not None:
            names = tuple(name for name in image.names if not catalog.bundles.named(name))
            found[image.digest] = Item(image.manifest, names, image)
    return list(found.values())


def save(catalog: Catalog, wanted: list[Item], out: IO[bytes], form: str = BOTH) -> None:
    """Write an archive; every blob once, verified as it is read."""
    for file in _files(catalog, wanted, form):
        path = tuple(part.encode() for part in file.name.split("/"))
        entry = Entry(tarread.FILE, path, 0o644, 0, 0, file.size, 0, b"", 0, 0, ())
        for chunk in tar_entry(entry, file.data):
            out.write(chunk)
    out.write(END)


def save_folder(catalog: Catalog, wanted: list[Item], folder: str, form: str) -> None:
    """Write a folder, which must not have anything in it; what fails leaves nothing."""
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise Conflict(f"save: {folder}: is there already, and not empty")
    fresh = f"{folder.rstrip('/')}.{os.urandom(6).hex()}"
    os.mkdir(fresh)
    try:
        for file in _files(catalog, wanted, form):
            path = os.path.join(fresh, file.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                for chunk in file.data():
                    out.write(chunk)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(folder)
        os.rename(fresh, folder)
    except BaseException:
        import shutil

        shutil.rmtree(fresh)
        raise


def _files(catalog: Catalog, wanted: list[Item], form: str) -> Iterator[File]:
    if form == DOCKER_FOLDER:
        yield from _docker_folder(catalog, wanted)
    elif form == DOCKER:
        yield from _docker_archive(catalog, wanted)
    else:
        yield from _layout(catalog, wanted, docker=form == BOTH)


def _layout(catalog: Catalog, wanted: list[Item], *, docker: bool) -> Iterator[File]:
    about = _about(catalog, wanted)
    yield _small("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    yield _small("index.json", encode(_index([*wanted, *about])))
    images = [item for item in wanted if item.image is not None]
    if docker and images:
        yield _small("manifest.json", encode([_docker(item) for item in images]))
    blobs = {
        part.digest: part
        for item in (*wanted, *about)
        for part in catalog.bundles.parts(item.document)
        if catalog.blobs.has(part)
    }
    for item in wanted:
        missing = _missing(item, blobs)
        if missing is not None:  # so that its damage is told
            blobs[missing.digest] = missing
    for _, blob in sorted(blobs.items()):
        yield File(_place(blob), blob.size, _reader(catalog, blob))


def _missing(item: Item, blobs: dict[Digest, Descriptor]) -> Descriptor | None:
    """A blob of an image that should be here and is not."""
    if item.image is None:
        return None
    found = item.image.manifest
    return next((each for each in (found.config, *found.layers) if each.digest not in blobs), None)


def _about(catalog: Catalog, wanted: list[Item]) -> list[Item]:
    """What is here about these: it goes with them."""
    found: dict[Digest, Item] = {}
    subjects = [part.digest for item in wanted for part in catalog.bundles.parts(item.document)]
    known = {item.document.digest for item in wanted}
    while subjects:
        subject = subjects.pop()
        for bundle in catalog.bundles.referrers(subject):
            if bundle.digest not in found and bundle.digest not in known:
                found[bundle.digest] = Item(bundle.document, bundle.names, None)
                subjects.append(bundle.digest)
    return list(found.values())


def _reader(catalog: Catalog, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    return lambda: catalog.blobs.chunks(blob)


def _index(wanted: list[Item]) -> dict[str, Any]:
    entries = []
    for item in wanted:
        kind = meaning_of(item.document).artifact_type
        for name in item.names or ("",):
            marks: dict[str, str] = {}
            if name:
                marks["io.containerd.image.name"] = name
                marks["org.opencontainers.image.ref.name"] = parse_reference(name).tag or ""
            document = item.document
            entry = Descriptor(document.media_type, document.digest, len(document.data))
            value = entry._replace(annotations=tuple(marks.items())).to_json()
            entries.append(value | ({"artifactType": kind} if kind else {}))
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


def _docker(item: Item) -> dict[str, Any]:
    assert item.image is not None
    return {
        "Config": _place(item.image.manifest.config),
        "RepoTags": [parse_reference(name).familiar for name in item.names],
        "Layers": [_place(layer) for layer in item.image.manifest.layers],
    }


def _docker_archive(catalog: Catalog, wanted: list[Item]) -> Iterator[File]:
    """As docker wrote it before it had a content store: plain layers named by what is in them."""
    entries = []
    written: set[str] = set()
    for item in wanted:
        image = _only_image(item, DOCKER)
        config = f"{image.id.hex}.json"
        layers = [f"{layer.diff_id.hex}.tar" for layer in image.layers]
        names = [parse_reference(name).familiar for name in item.names]
        entries.append({"Config": config, "RepoTags": names, "Layers": layers})
        if config not in written:
            yield _small(config, catalog.blobs.read(image.id))
        for name, layer in zip(layers, image.layers, strict=True):
            if name not in written:
                blob = Descriptor(layer.media_type, layer.digest, layer.size)
                size = sum(map(len, _plain(catalog, blob)()))
                yield File(name, size, _plain(catalog, blob))
            written.add(name)
        written.add(config)
    yield _small("manifest.json", encode(entries))


def _plain(catalog: Catalog, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    return lambda: decompress(catalog.blobs.chunks(blob), f"layer {blob.digest}")


def _docker_folder(catalog: Catalog, wanted: list[Item]) -> Iterator[File]:
    """containers-transports(5), ``dir:``: one manifest, and its blobs by their hex names."""
    if len(wanted) != 1:
        raise Invalid(f"save: --format {DOCKER_FOLDER}: holds one image, not {len(wanted)}")
    found = _only_image(wanted[0], DOCKER_FOLDER).manifest
    yield _small("version", _VERSION)
    yield _small("manifest.json", found.data)
    for blob in dict.fromkeys((found.config, *found.layers)):
        yield File(blob.digest.hex, blob.size, _reader(catalog, blob))


def _only_image(item: Item, form: str) -> Image:
    if item.image is None:
        what = item.names[0] if item.names else item.document.digest
        kind = meaning_of(item.document).artifact_type or "an index"
        raise Unsupported(
            f"save: {what}: {kind}: --format {form} holds images of this machine's platform only; "
            f"--format {OCI} takes it"
        )
    return item.image


def _place(blob: Descriptor) -> str:
    return f"blobs/{blob.digest.algorithm}/{blob.digest.hex}"


def _small(name: str, data: bytes) -> File:
    return File(name, len(data), lambda: [data])
