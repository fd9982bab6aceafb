"""Turns stored images into one tar that is an oci-archive and a docker-archive at once."""

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.manifest import OCI_INDEX
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import encode
from dockyard.node.image import tarread
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.image import Image
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry


def save(images: list[Image], catalog: Catalog, out: IO[bytes]) -> None:
    """Write the archive; every blob once, verified as it is read."""
    for chunk in _archive(images, catalog):
        out.write(chunk)


def _archive(images: list[Image], catalog: Catalog) -> Iterator[bytes]:
    yield from _file("oci-layout", encode({"imageLayoutVersion": "1.0.0"}))
    yield from _file("index.json", encode(_index(images)))
    yield from _file("manifest.json", encode([_docker(image) for image in images]))
    blobs: dict[str, Descriptor] = {}
    for image in images:
        found = image.manifest
        for blob in (found.descriptor(), found.config, *found.layers):
            blobs[blob.digest] = blob
    for _, blob in sorted(blobs.items()):
        entry = _entry(_place(blob), blob.size)
        yield from tar_entry(entry, _reader(catalog, blob))
    yield END


def _reader(catalog: Catalog, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    return lambda: catalog.blobs.chunks(blob)


def _index(images: list[Image]) -> dict[str, Any]:
    entries = []
    for image in images:
        for name in image.names or ("",):
            marks: dict[str, str] = {}
            if name:
                marks["io.containerd.image.name"] = name
                marks["org.opencontainers.image.ref.name"] = parse_reference(name).tag or ""
            entries.append(
                image.manifest.descriptor()._replace(annotations=tuple(marks.items())).to_json()
            )
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


def _docker(image: Image) -> dict[str, Any]:
    return {
        "Config": _place(image.manifest.config),
        "RepoTags": [parse_reference(name).familiar for name in image.names],
        "Layers": [_place(layer) for layer in image.manifest.layers],
    }


def _place(blob: Descriptor) -> str:
    return f"blobs/{blob.digest.algorithm}/{blob.digest.hex}"


def _file(name: str, data: bytes) -> Iterator[bytes]:
    return tar_entry(_entry(name, len(data)), lambda: [data])


def _entry(name: str, size: int) -> Entry:
    path = tuple(part.encode() for part in name.split("/"))
    return Entry(tarread.FILE, path, 0o644, 0, 0, size, 0, b"", 0, 0, ())
