"""Turns what was built into an archive, a directory, or an index at a registry."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import digest_of
from dockyard.base.oci.manifest import OCI_INDEX
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import encode
from dockyard.node.build.files import Files
from dockyard.node.build.placing import Manner, Placer, place
from dockyard.node.build.source import Line, Source
from dockyard.node.image import tarread
from dockyard.node.image.pack import pack_open
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.snapshot import open_view
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry
from dockyard.node.image.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dockyard.base.oci.reference import Reference
    from dockyard.node.build.builder import Result
    from dockyard.node.image.image import Image, Layer
    from dockyard.node.image.store import ImageStore

_NOWHERE = Line(Source("output", ()), 1, 1, "OUTPUT", (), "", "\\")


def write(kind: str, dest: str, result: Result, names: tuple[str, ...], store: ImageStore) -> None:
    """``oci``, ``docker``, ``tar`` or ``local``. A file appears when it is whole."""
    if kind == "local":
        _write_folder(dest, result, store)
    elif kind == "tar":
        _only_one(result, kind)
        with _opened(dest) as out:
            for chunk in _packed(result.layers[0], store):
                out.write(chunk)
    elif kind == "docker" and not dest:
        for name in names:
            store.tag(result.image.id, name)
    else:
        if kind == "docker":
            _only_one(result, kind)
        with _opened(dest) as out:
            for chunk in _archive(kind, result, names, store):
                out.write(chunk)


def push(result: Result, names: tuple[str, ...], store: ImageStore) -> None:
    """Each name to its registry; several platforms as one index."""
    if not names:
        raise Invalid("build: a push needs a name: -t REGISTRY/NAME:TAG")
    for name in names:
        if len(result.images) == 1:
            store.push(name)
        else:
            _push_index(parse_reference(name), result, store)


def index_of(images: tuple[Image, ...]) -> bytes:
    """An OCI index with one manifest a platform."""
    entries = [
        image.manifest.descriptor()._replace(platform=image.config.platform).to_json()
        for image in images
    ]
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def _push_index(name: Reference, result: Result, store: ImageStore) -> None:
    """Blobs, then manifests, then the index: the registry never lists a part."""
    with RegistryClient(store.hosts, name, None, "pull,push") as client:
        for image in result.images:
            for blob in (*image.manifest.layers, image.manifest.config):
                if not client.has_blob(blob.digest):
                    client.upload(blob, _reader(store, blob))
            client.put_manifest(image.digest, image.manifest.media_type, image.manifest.data)
        client.put_manifest(name.target, OCI_INDEX, index_of(result.images))


def _archive(
    kind: str, result: Result, names: tuple[str, ...], store: ImageStore
) -> Iterator[bytes]:
    documents: dict[str, bytes] = {}
    if len(result.images) > 1:
        data = index_of(result.images)
        top = Descriptor(OCI_INDEX, digest_of(data), len(data))
        documents[top.digest] = data
    else:
        top = result.image.manifest.descriptor()
    marked = [_named(top, name).to_json() for name in names] or [top.to_json()]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": marked}
    files = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": encode(index),
    }
    if kind == "docker":
        files["manifest.json"] = encode([_docker(result.image, names)])
    for name, data in files.items():
        yield from tar_entry(_entry(name, len(data)), _given(data))
    blobs: dict[str, Descriptor] = {}
    for image in result.images:
        for blob in (image.manifest.descriptor(), image.manifest.config, *image.manifest.layers):
            blobs[blob.digest] = blob
    for digest, data in documents.items():
        yield from tar_entry(_entry(_place(digest), len(data)), _given(data))
    for digest, blob in sorted(blobs.items()):
        yield from tar_entry(_entry(_place(digest), blob.size), _reader(store, blob))
    yield END


def _named(top: Descriptor, name: str) -> Descriptor:
    reference = parse_reference(name)
    marks = (
        ("io.containerd.image.name", str(reference)),
        ("org.opencontainers.image.ref.name", reference.tag or ""),
    )
    return top._replace(annotations=marks)


def _docker(image: Image, names: tuple[str, ...]) -> dict[str, object]:
    return {
        "Config": _place(image.manifest.config.digest),
        "RepoTags": [parse_reference(name).familiar for name in names],
        "Layers": [_place(layer.digest) for layer in image.manifest.layers],
    }


def _reader(store: ImageStore, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    return lambda: store.catalog.blobs.chunks(blob)


def _given(data: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: [data]


def _place(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _entry(name: str, size: int) -> Entry:
    path = tuple(part.encode() for part in name.split("/"))
    return Entry(tarread.FILE, path, 0o644, 0, 0, size, 0, b"", 0, 0, ())


@contextlib.contextmanager
def _merged(layers: tuple[Layer, ...], store: ImageStore) -> Iterator[int]:
    """A descriptor of the whole tree."""
    with store.workspace() as space:
        upper, work, at = (os.path.join(space, name) for name in ("upper", "work", "at"))
        for path in (upper, work, at):
            os.mkdir(path, 0o755)
        root = open_view(store.layer_directories(layers), upper, work, at, store.driver.name)
        try:
            yield root
        finally:
            os.close(root)


def _packed(layers: tuple[Layer, ...], store: ImageStore) -> Iterator[bytes]:
    with _merged(layers, store) as root:
        yield from pack_open(root)


def _write_folder(dest: str, result: Result, store: ImageStore) -> None:
    several = len(result.images) > 1
    for image, layers in zip(result.images, result.layers, strict=True):
        folder = os.path.join(dest, str(image.config.platform).replace("/", "_"))
        folder = folder if several else dest
        os.makedirs(folder, 0o755, exist_ok=True)
        with (
            _merged(layers, store) as root,
            Files(os.dup(root), "the image", outside=False) as files,
            Tree(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), f"output {folder}") as tree,
        ):
            placer = Placer(tree, _NOWHERE, Manner(None, None, None))
            top = files.find("")
            assert top is not None
            for item in place(files, top):
                if item.path:
                    placer.lay(item, (), inside=True)
            placer.finish()


def _only_one(result: Result, kind: str) -> None:
    if len(result.images) > 1:
        raise Invalid(
            f"build: --output type={kind}: one platform at a time; type=oci takes several"
        )


@contextlib.contextmanager
def _opened(dest: str) -> Iterator[IO[bytes]]:
    if dest == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    fresh = f"{dest}.{os.urandom(4).hex()}"
    try:
        with open(fresh, "xb") as file:
            yield file
        os.rename(fresh, dest)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
