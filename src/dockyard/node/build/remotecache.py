"""Turns the keys and layers of a build's steps into a cache elsewhere, and back.

An OCI artifact: a manifest whose layers are the steps' and whose configuration says which key is
which layer; or an image whose configuration says that of its own layers (``type=inline``). Only
what ``--cache-from`` names is trusted (E05), and each blob is verified.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from dockyard.base.errors import Corrupt, DockyardError, Invalid, NotFound, Unsupported
from dockyard.base.oci.descriptor import Descriptor, parse_descriptor
from dockyard.base.oci.digest import digest_of, parse_digest
from dockyard.base.oci.imageconfig import parse_config
from dockyard.base.oci.manifest import CONFIGS, LAYERS, OCI_INDEX, OCI_MANIFEST
from dockyard.base.oci.reference import parse_reference
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.node.build.ownargs import truth
from dockyard.node.image.blobs import verified
from dockyard.node.image.fetch import fetch_layers
from dockyard.node.image.image import Layer, chain_ids
from dockyard.node.image.progress import Silent
from dockyard.node.image.registry.client import RegistryClient
from dockyard.node.image.trust.gate import admit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from dockyard.base.oci.digest import Digest
    from dockyard.node.build.stage import Imported
    from dockyard.node.image.store import ImageStore

CONFIG = "application/vnd.dockyard.buildcache.config.v1+json"
INLINE = "inline"
_TARGET_KEYS = ("type", "dest", "ref", "mode", "ignore-error", "image-manifest", "oci-mediatypes")
_LARGEST = 4 << 20
_MOST = 10_000
_MOST_IMAGES = 50


class Place(Protocol):
    """Where a cache's documents and blobs are."""

    def manifest(self) -> bytes: ...

    def document(self, entry: Descriptor) -> bytes:
        """A manifest that an index lists, verified."""

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
        return self.document(blob)

    def document(self, entry: Descriptor) -> bytes:
        return b"".join(verified(self.blob(entry), entry))

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

    def document(self, entry: Descriptor) -> bytes:
        return b"".join(verified([self._client.manifest(entry.digest).data], entry))

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


def source(told: Mapping[str, str], store: ImageStore, note: Callable[[str], None]) -> Imported:
    """What ``--cache-from`` names. One that is not there (yet) is no error."""
    kind = told.get("type", "")
    what = told.get("src", told.get("ref", ""))
    try:
        if kind == "local" and "src" in told:
            return Records(Folder(what), store, f"cache {what}")
        if kind == "registry" and "ref" in told:
            return Records(Registry(what, store), store, f"cache {what}")
    except (NotFound, OSError) as error:
        note(f"[Warning] cache import: {error}")
        return Nothing()
    raise Unsupported(f"build: --cache-from type={kind}: type=local,src=DIR and "
                      "type=registry,ref=NAME are implemented")  # fmt: skip


def export(
    told: Mapping[str, str],
    store: ImageStore,
    keys: Mapping[str, Layer],
    kept: Collection[Digest],
    note: Callable[[str], None],
) -> None:
    """``--cache-to``. ``kept``: the chains of the results' layers: with ``mode=min``, which docker
    has where none is named, other steps' layers stay out."""
    kind = told.get("type", "")
    mode = told.get("mode", "min")
    if mode not in ("min", "max"):
        raise Invalid(f"build: --cache-to mode={mode[:40]}: min or max is expected")
    if kind == INLINE:
        return  # the builder has put it into the image
    if mode == "min":
        keys = {key: layer for key, layer in keys.items() if layer.chain_id in kept}
    try:
        _export(kind, told, store, keys)
    except (DockyardError, OSError) as error:
        if truth(told.get("ignore-error", "false")) is not True:
            raise
        note(f"[Warning] cache export: {error}")


def check_target(told: Mapping[str, str]) -> None:
    """Refuse what can't be written before anything is built."""
    kind = told.get("type", "")
    right = {"local": bool(told.get("dest")), "registry": bool(told.get("ref")), INLINE: True}
    if not right.get(kind, False):
        raise Unsupported(f"build: --cache-to type={kind}: type=local,dest=DIR, "
                          "type=registry,ref=NAME and type=inline are implemented")  # fmt: skip
    for name in told:
        if name not in _TARGET_KEYS:
            raise Unsupported(f"build: --cache-to {name[:40]}: not implemented; "
                              f"{', '.join(_TARGET_KEYS)} are")  # fmt: skip


def _export(
    kind: str, told: Mapping[str, str], store: ImageStore, keys: Mapping[str, Layer]
) -> None:
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
    if kind == "local":
        _to_folder(told["dest"], store, blobs, config, manifest)
    else:
        _to_registry(told["ref"], store, blobs, config, manifest)


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


Found = dict[str, tuple[Descriptor, Any]]


def _parse(place: Place, what: str) -> Found:
    """Key -> a layer's blob and its diff_id."""
    document = decode_object(place.manifest(), what, limit=_LARGEST)
    entries: Any = document.get("manifests")
    if entries is None:
        return _of_manifest(document, place, what)
    if not isinstance(entries, list) or len(entries) > _MOST_IMAGES:
        raise Invalid(f"{what}: manifests: a list of at most {_MOST_IMAGES} is expected")
    found: Found = {}
    for entry in (parse_descriptor(item, what) for item in entries):
        if entry.platform is not None and entry.platform.os != "unknown":
            found |= _of_manifest(
                decode_object(place.document(entry), what, limit=_LARGEST), place, what
            )
    return found


def _of_manifest(manifest: dict[str, Any], place: Place, what: str) -> Found:
    described = parse_descriptor(manifest.get("config"), what)
    kinds = (CONFIG, *CONFIGS)
    if described.media_type not in kinds or described.size > _LARGEST:
        raise Invalid(f"{what}: {described.media_type}: no build cache of this program")
    data = b"".join(verified(place.blob(described), described))
    listed: Any = manifest.get("layers")
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise Corrupt(f"{what}: layers are expected")
    blobs = [parse_descriptor(item, what) for item in listed]
    if described.media_type in CONFIGS:
        return _of_image(blobs, data, what)
    config = decode_object(data, what, limit=_LARGEST)
    items: Any = config.get("layers")
    records: Any = config.get("records")
    right = isinstance(items, list) and isinstance(records, dict)
    if not right or max(len(items), len(records)) > _MOST:
        raise Corrupt(f"{what}: layers and records are expected")
    by_digest = {blob.digest: blob for blob in blobs}
    diffs = {
        parse_digest(item.get("digest"), what): parse_digest(item.get("diff_id"), what)
        for item in items
        if isinstance(item, dict)
    }
    found = {}
    for key, digest in records.items():
        blob = by_digest.get(digest)
        if blob is not None and digest in diffs and blob.media_type in LAYERS:
            found[key] = (blob, diffs[digest])
    return found


def _of_image(blobs: list[Descriptor], data: bytes, what: str) -> Found:
    """An image's own layers, where it says which step made them (``type=inline``)."""
    config = parse_config(data, what)
    if len(config.diff_ids) != len(blobs):
        raise Corrupt(f"{what}: {len(blobs)} layers, but {len(config.diff_ids)} diff_ids")
    return {
        key: (blobs[place], config.diff_ids[place])
        for key, place in config.step_keys
        if blobs[place].media_type in LAYERS
    }
