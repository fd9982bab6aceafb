"""Turns what was built into an archive, a directory, or an index at a registry."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from typing import IO, TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.manifest import OCI_INDEX
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import encode
from dockyard.base.wholefile import whole_file
from dockyard.node.build.files import Files
from dockyard.node.build.placing import Manner, Placer, place
from dockyard.node.build.source import Line, Source
from dockyard.node.image import tarread
from dockyard.node.image.pack import pack_open
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.snapshot import open_view
from dockyard.node.image.tarread import Entry
from dockyard.node.image.tarwrite import END, tar_entry
from dockyard.node.image.together import every_blob
from dockyard.node.image.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dockyard.base.oci.reference import Reference
    from dockyard.node.build.bundle import Bundle
    from dockyard.node.image.image import Image, Layer
    from dockyard.node.image.store import ImageStore

_NOWHERE = Line(Source("output", ()), 1, 1, "OUTPUT", (), "", "\\")


def write(
    kind: str, dest: str, bundle: Bundle, names: tuple[str, ...], store: ImageStore, *, is_tar: bool
) -> None:
    """``oci``, ``docker``, ``tar`` or ``local``. A file appears when it is whole."""
    if kind == "local":
        _write_folder(dest, bundle, store)
    elif kind == "tar":
        with _opened(dest) as out:
            for chunk in _tar(bundle, store):
                out.write(chunk)
    elif kind == "docker" and not dest:
        for name in names:
            store.tag(bundle.image.id, name)
    else:
        if kind == "docker":
            _only_one(bundle, kind)
        contents = _contents(kind, bundle, names, store)
        if not is_tar:
            _write_layout(dest, contents)
            return
        with _opened(dest) as out:
            for name, size, read in contents:
                for chunk in tar_entry(_entry(name, size), read):
                    out.write(chunk)
            out.write(END)


def keep(bundle: Bundle, names: Sequence[str], store: ImageStore) -> None:
    """In the store, with its index, attestations and annotations, as it would be pushed."""
    if bundle.is_plain or not names:
        return
    documents = {found.digest: found.data for found in bundle.documents}
    documents[bundle.top.digest] = bundle.index_data or bundle.image.manifest.data

    def source(blob: Descriptor) -> Iterable[bytes]:
        data = documents.get(blob.digest)
        return [data] if data is not None else _reader(bundle, store, blob)()

    store.keep_whole(bundle.top, names, source)


def push(bundle: Bundle, names: tuple[str, ...], store: ImageStore) -> None:
    """Each name to its registry; several platforms, and attestations, as one index."""
    if not names:
        raise Invalid("build: a push needs a name: -t REGISTRY/NAME:TAG")
    for name in names:
        if bundle.is_plain:
            store.push(name)
        else:
            _push(parse_reference(name), bundle, store)


def _push(name: Reference, bundle: Bundle, store: ImageStore) -> None:
    """Blobs, then manifests, then the index: the registry never lists a part."""
    with RegistryClient(store.hosts, name, None, "pull,push") as client:

        def send(blob: Descriptor) -> None:
            if not client.has_blob(blob.digest):
                client.upload(blob, _reader(bundle, store, blob))

        named = [(*found.layers, found.config) for found in bundle.documents]
        every_blob(itertools.chain(*named), send)
        for found in bundle.documents if bundle.index_data else ():
            client.put_manifest(found.digest, found.media_type, found.data)
        kind = OCI_INDEX if bundle.index_data else bundle.image.manifest.media_type
        client.put_manifest(name.target, kind, bundle.index_data or bundle.image.manifest.data)


def _contents(
    kind: str, bundle: Bundle, names: tuple[str, ...], store: ImageStore
) -> Iterator[tuple[str, int, Callable[[], Iterable[bytes]]]]:
    """The files of an OCI layout: name, size, and what reads it; ``index.json`` comes last."""
    blobs = {
        blob.digest: blob for found in bundle.documents for blob in (*found.layers, found.config)
    }
    documents = {found.digest: found.data for found in bundle.documents}
    if bundle.index_data:
        documents[bundle.top.digest] = bundle.index_data
    for digest, data in sorted(documents.items()):
        yield _place(digest), len(data), _given(data)
    for digest, blob in sorted(blobs.items()):
        yield _place(digest), blob.size, _reader(bundle, store, blob)
    top = bundle.top
    marked = [_named(top, name).to_json() for name in names] or [top.to_json()]
    files = {"oci-layout": encode({"imageLayoutVersion": "1.0.0"})}
    if kind == "docker":
        files["manifest.json"] = encode([_docker(bundle.image, names)])
    files["index.json"] = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": marked})
    for name, data in files.items():
        yield name, len(data), _given(data)


def _write_layout(
    dest: str, contents: Iterable[tuple[str, int, Callable[[], Iterable[bytes]]]]
) -> None:
    for name, _, read in contents:
        path = os.path.join(dest, name)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with _opened(path) as out:
            for chunk in read():
                out.write(chunk)


def _named(top: Descriptor, name: str) -> Descriptor:
    reference = parse_reference(name)
    marks = (
        *top.annotations,
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


def _reader(bundle: Bundle, store: ImageStore, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    made = bundle.blobs.get(blob.digest)
    if made is not None:
        return _given(made)
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


def _tar(bundle: Bundle, store: ImageStore) -> Iterator[bytes]:
    """The file tree; of several platforms each in a folder of its own."""
    if len(bundle.images) == 1 and not any(bundle.statements):
        with _merged(bundle.layers[0], store) as root:
            yield from pack_open(root)
        return
    with store.workspace() as space:
        folder = os.path.join(space, "tree")
        _write_folder(folder, bundle, store)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield from pack_open(root)
        finally:
            os.close(root)


def _write_folder(dest: str, bundle: Bundle, store: ImageStore) -> None:
    several = len(bundle.images) > 1
    parts = zip(bundle.images, bundle.layers, bundle.statements, strict=True)
    for image, layers, statements in parts:
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
            for each in statements:
                placer.write(encode(each.document), (os.fsencode(each.filename),), 0o644, 0)
            placer.finish()


def _only_one(bundle: Bundle, kind: str) -> None:
    if len(bundle.images) > 1 or bundle.index_data:
        raise Invalid(
            f"build: --output type={kind}: one platform without attestations at a time; type=oci "
            "takes several"
        )


@contextlib.contextmanager
def _opened(dest: str) -> Iterator[IO[bytes]]:
    if dest == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(dest) as file:
        yield file
