"""Turns the keys and layers of a build's steps into a cache elsewhere, and back.

An OCI artifact: a manifest whose layers are the steps' and whose configuration says which key is
which layer. Only what ``--cache-from`` names is trusted (E05), and each blob is verified.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from dockyard.base.errors import Corrupt, Invalid, NotFound, Unsupported
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import digest_of, parse_digest
from dockyard.base.oci.manifest import LAYERS, OCI_INDEX, OCI_MANIFEST
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.node.image.blobs import verified
from dockyard.node.image.fetch import fetch_layers
from dockyard.node.image.image import Layer, chain_ids
from dockyard.node.image.progress import Silent
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.trust.gate import admit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dockyard.node.build.stage import Imported
    from dockyard.node.image.store import ImageStore

CONFIG = "application/vnd.dockyard.buildcache.config.v1+json"
_LARGEST = 4 << 20
_MOST = 10_000


class Place(Protocol):
    """Where a cache's documents and blobs are."""

    def manifest(self) -> bytes: ...

    def blob(self, blob: Descriptor) -> Iterable[bytes]: ...


class Folder:
    """An OCI layout."""

    def __init__(self, path: str) -> None:
        self._path = path

    def manifest(self) -> bytes:
        index = decode_object(self._read("index.json"), self._path, limit=_LARGEST)
        entries = index.get("manifests")
        if not isinstance(entries, list) or len(entries) != 1:
            raise Invalid(f"cache {self._path}: index.json: one manifest is expected")
        blob = parse_descriptor(entries[0], f"cache {self._path}")
        return b"".join(verified(self.blob(blob), blob))

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        path = os.path.join("blobs", blob.digest.algorithm, blob.digest.hex)
        try:
            with open(os.path.join(self._path, path), "rb") as file:
                while chunk := file.read(1 << 20):
                    yield chunk
        except OSError as error:
            raise NotFound(f"cache {self._path}: {path}: {error.strerror}") from error

    def _read(self, name: str) -> bytes:
        try:
            with open(os.path.join(self._path, name), "rb") as file:
                return file.read(_LARGEST + 1)
        except OSError as error:
            raise NotFound(f"cache {self._path}: {name}: {error.strerror}") from error


class Registry:
    """A repository of a registry."""

    def __init__(self, reference: str, store: ImageStore) -> None:
        self._name = parse_reference(reference)
        self._client = RegistryClient(store.hosts, self._name, None, "pull")
        self._data_root = store.catalog.data_root

    def manifest(self) -> bytes:
        """What the policy lets in: a step that is taken from a cache runs as an image's layer."""
        data = self._client.manifest(self._name.target).data
        admit(self._data_root, self._client, self._name, (digest_of(data),))
        return data

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        return self._client.blob(blob)


class Records:
    """A cache that was read: keys and layers. The blobs come when a step asks for one."""

    def __init__(self, place: Place, store: ImageStore, what: str) -> None:
        self._place = place
        self._store = store
        self._lock = threading.Lock()
        self._layers = _parse(place, what)

    def fetch(self, key: str, below: tuple[Layer, ...]) -> Layer | None:
        described = self._layers.get(key)
        if described is None:
            return None
        blob, diff_id = described
        chain = chain_ids((below[-1].chain_id, diff_id))[-1] if below else diff_id
        layer = Layer(blob.digest, diff_id, chain, blob.size, blob.media_type)
        with self._lock:
            fetch_layers(self._store.catalog, (*below, layer), self._place.blob, Silent())
        self._store.remember(key, layer)
        return layer


class Nothing:
    """A cache that could not be read: a build goes on without it, as docker's does."""

    def fetch(self, key: str, below: tuple[Layer, ...]) -> Layer | None:
        return None


def source(told: Mapping[str, str], store: ImageStore, note: Any = None) -> Imported:
    """What ``--cache-from`` names. One that is not there (yet) is no error."""
    kind = told.get("type", "")
    what = told.get("src", told.get("ref", ""))
    try:
        if kind == "local" and "src" in told:
            return Records(Folder(what), store, f"cache {what}")
        if kind == "registry" and "ref" in told:
            return Records(Registry(what, store), store, f"cache {what}")
    except (NotFound, OSError) as error:
        if note is not None:
            note(f"[Warning] cache import: {error}")
        return Nothing()
    raise Unsupported(f"build: --cache-from type={kind}: type=local,src=DIR and "
                      "type=registry,ref=NAME are implemented")  # fmt: skip


def export(told: Mapping[str, str], store: ImageStore, keys: Mapping[str, Layer]) -> None:
    """``--cache-to``."""
    kind = told.get("type", "")
    layers = {layer.digest: layer for layer in keys.values()}
    blobs = [Descriptor(item.media_type, item.digest, item.size) for item in layers.values()]
    config = encode(
        {
            "layers": [
                {"digest": item.digest, "diff_id": item.diff_id} for item in layers.values()
            ],
            "records": {key: layer.digest for key, layer in sorted(keys.items())},
        }
    )
    described = Descriptor(CONFIG, digest_of(config), len(config))
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": CONFIG,
            "config": described.to_json(),
            "layers": [blob.to_json() for blob in blobs],
        }
    )
    if kind == "local" and told.get("dest"):
        _to_folder(told["dest"], store, blobs, config, manifest)
    elif kind == "registry" and told.get("ref"):
        _to_registry(told["ref"], store, blobs, config, manifest)
    else:
        raise Unsupported(f"build: --cache-to type={kind}: type=local,dest=DIR and "
                          "type=registry,ref=NAME are implemented")  # fmt: skip


def _to_folder(
    dest: str, store: ImageStore, blobs: list[Descriptor], config: bytes, manifest: bytes
) -> None:
    """The index comes last: a cache that was cut is an old one, or none."""
    folder = os.path.join(dest, "blobs", "sha256")
    os.makedirs(folder, exist_ok=True)
    for blob in blobs:
        path = os.path.join(dest, "blobs", blob.digest.algorithm, blob.digest.hex)
        if not os.path.exists(path):
            _write(path, store.catalog.blobs.chunks(blob))
    for data in (config, manifest):
        _write(os.path.join(folder, digest_of(data).hex), [data])
    _write(os.path.join(dest, "oci-layout"), [encode({"imageLayoutVersion": "1.0.0"})])
    top = Descriptor(OCI_MANIFEST, digest_of(manifest), len(manifest)).to_json()
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [top]}
    _write(os.path.join(dest, "index.json"), [encode(index)])


def _write(path: str, chunks: Iterable[bytes]) -> None:
    fresh = f"{path}.{os.urandom(4).hex()}"
    try:
        with open(fresh, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
        os.rename(fresh, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        raise


def _to_registry(
    ref: str, store: ImageStore, blobs: list[Descriptor], config: bytes, manifest: bytes
) -> None:
    name = parse_reference(ref)
    described = Descriptor(CONFIG, digest_of(config), len(config))
    with RegistryClient(store.hosts, name, None, "pull,push") as client:
        for blob in blobs:
            if not client.has_blob(blob.digest):
                client.upload(blob, _reader(store, blob))
        if not client.has_blob(described.digest):
            client.upload(described, lambda: [config])
        client.put_manifest(name.target, OCI_MANIFEST, manifest)


def _reader(store: ImageStore, blob: Descriptor) -> Callable[[], Iterable[bytes]]:
    return lambda: store.catalog.blobs.chunks(blob)


def _parse(place: Place, what: str) -> dict[str, tuple[Descriptor, Any]]:
    manifest = decode_object(place.manifest(), what, limit=_LARGEST)
    described = parse_descriptor(manifest.get("config"), what)
    if described.media_type != CONFIG or described.size > _LARGEST:
        raise Invalid(f"{what}: {described.media_type}: no build cache of this program")
    config = decode_object(
        b"".join(verified(place.blob(described), described)), what, limit=_LARGEST
    )
    listed: Any = manifest.get("layers")
    items: Any = config.get("layers")
    records: Any = config.get("records")
    right = isinstance(listed, list) and isinstance(items, list) and isinstance(records, dict)
    if not right or max(len(listed), len(items), len(records)) > _MOST:
        raise Corrupt(f"{what}: layers and records are expected")
    blobs = {blob.digest: blob for blob in (parse_descriptor(item, what) for item in listed)}
    diffs = {
        parse_digest(item.get("digest"), what): parse_digest(item.get("diff_id"), what)
        for item in items
        if isinstance(item, dict)
    }
    found = {}
    for key, digest in records.items():
        blob = blobs.get(digest)
        if blob is not None and digest in diffs and blob.media_type in LAYERS:
            found[key] = (blob, diffs[digest])
    return found
