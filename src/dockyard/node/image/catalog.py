"""Turns names, IDs and digests into :class:`Image` views over blobs, layers and the database."""

from __future__ import annotations

import fcntl
import os

from dockyard.base import contexts, sqlite
from dockyard.base.aio import now
from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.imageconfig import ImageConfig, parse_config
from dockyard.base.oci.manifest import (
    OCI_CONFIG,
    Ambiguous,
    Index,
    Manifest,
    build_manifest,
    parse_document,
)
from dockyard.base.oci.platform import host_platform
from dockyard.base.oci.reference import Reference, parse_reference
from dockyard.base.pattern import Pattern
from dockyard.node.image.blobs import Blobs
from dockyard.node.image.database import Database
from dockyard.node.image.fleeting import Fleeting
from dockyard.node.image.image import (
    ContentMismatch,
    Image,
    ImageNotFound,
    Layer,
    chain_ids,
)
from dockyard.node.image.ingest import Ingest
from dockyard.node.image.layers import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.image.bundles import Bundle, Bundles


_IS_THERE = "SELECT 1 FROM images WHERE manifest = ?"
_ID = Pattern(r"(?:sha256:)?([a-f0-9]{2,64})")


class Catalog:
    """What one store holds. The verbs of this room (pull, load, ...) work on it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.ingest = Ingest(os.path.join(root, "ingest"))
        self.blobs = Blobs(root, self.ingest)
        self.layers = Layers(root, self.ingest)
        self.database = Database(root)
        self.fleeting = Fleeting(root)

    @property
    def bundles(self) -> Bundles:
        """What is no image itself."""
        from dockyard.node.image.bundles import Bundles  # who runs an image needs none

        return Bundles(self.database, self.blobs)

    @property
    def data_root(self) -> str:
        """Where the store's own policy.json may be."""
        return os.path.dirname(self._root)

    @contexts.contextmanager
    def adding(self) -> Iterator[None]:
        """Held while content comes that no name points to yet: nothing is collected meanwhile."""
        with self._use(fcntl.LOCK_SH):
            self.ingest.sweep()
            yield

    @contexts.contextmanager
    def collecting(self) -> Iterator[bool]:
        """True where nobody adds content: then what nothing points to may go."""
        try:
            with self._use(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    @contexts.contextmanager
    def _use(self, how: int) -> Iterator[None]:
        os.makedirs(self._root, 0o700, exist_ok=True)
        fd = os.open(os.path.join(self._root, "use.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)

    def resolve(self, text: str) -> Image:
        with self.database.read() as rows:
            return self._view(rows, self.find(rows, text))

    def named(self, reference: Reference) -> Digest | None:
        """The manifest that has this very name here."""
        with self.database.read() as rows:
            return _by_name(rows, reference)

    def find(self, rows: sqlite.Connection, text: str) -> Digest:
        """The manifest that a name, digest or ID (or the start of one) means here."""
        reference: Reference | None = None
        refused: Invalid | None = None
        try:
            reference = parse_reference(text)
        except Invalid as error:
            refused = error
        if reference is not None and (found := _by_name(rows, reference)):
            return found
        match = _ID.fullmatch(text)
        if match:
            query = "SELECT id, manifest FROM images WHERE id GLOB ? ORDER BY added DESC"
            hits = rows.execute(query, (f"sha256:{match[1]}*",)).fetchall()
            if len({identifier for identifier, _ in hits}) > 1:
                raise Conflict(f"image: {text}: several IDs start so; give more digits")
            if hits:
                return Digest(hits[0][1])
        if refused is not None and not match:
            raise refused
        if (bundle := self.find_bundle(text)) is not None:
            raise _is_none(bundle, text)
        name = str(reference) if reference else text
        raise ImageNotFound(f"image: {name}: no such image here; `dockyard pull` fetches it")

    def find_bundle(self, text: str) -> Bundle | None:
        """The index or artifact that a name, digest or the start of one means here."""
        digest = self.find_bundle_digest(text)
        return self.bundles.view(digest) if digest else None

    def find_bundle_digest(self, text: str) -> Digest | None:
        """As :meth:`find_bundle`, of one whose document may be damaged."""
        with contexts.suppress(Invalid):
            reference = parse_reference(text)
            if found := self.bundles.digest_of(str(reference)):
                return found
            if reference.digest and self.bundles.has(reference.digest):
                return reference.digest
        match = _ID.fullmatch(text)
        hits = self.bundles.starting(match[1]) if match else []
        if len(hits) > 1:
            raise Conflict(f"image: {text}: several digests start so; give more digits")
        return hits[0] if hits else None

    def all(self) -> list[Image]:
        with self.database.read() as rows:
            found = rows.execute("SELECT manifest FROM images ORDER BY added DESC, manifest")
            return [self._view(rows, Digest(manifest)) for (manifest,) in found.fetchall()]

    def _view(self, rows: sqlite.Connection, digest: Digest) -> Image:
        (media_type,) = rows.execute(
            "SELECT media_type FROM images WHERE manifest = ?", (digest,)
        ).fetchone()
        what = f"image {digest}"
        manifest = parse_document(self.blobs.read(digest), media_type, what)
        assert isinstance(manifest, Manifest)
        config = parse_config(self.blobs.read(manifest.config.digest), what)
        chains = chain_ids(config.diff_ids)
        sizes = [
            row[0] if (row := rows.execute(_UNPACKED, (chain,)).fetchone()) else 0
            for chain in chains
        ]
        names = [
            str(name) for (name,) in rows.execute(
                "SELECT name FROM names WHERE manifest = ? ORDER BY name", (digest,)
            )
        ]  # fmt: skip
        return Image(
            id=manifest.config.digest,
            manifest=manifest,
            config=config,
            layers=layers_of(manifest, config),
            names=tuple(name for name in names if "@" not in name),
            digests=tuple(name for name in names if "@" in name),
            size=sum(sizes),
        )

    def view(self, manifest: Digest) -> Image:
        """The image of a listed manifest; :class:`ContentMismatch` where its documents are not
        what they were."""
        with self.database.read() as rows:
            return self._view(rows, manifest)

    def manifests(self) -> dict[Digest, str]:
        """All listed manifests and what each is called, whether they can still be read or not."""
        query = (
            "SELECT images.manifest, coalesce(min(name), id) FROM images "
            "LEFT JOIN names USING (manifest) GROUP BY images.manifest ORDER BY 2"
        )
        with self.database.read() as rows:
            return {Digest(manifest): str(name) for manifest, name in rows.execute(query)}

    def find_manifest(self, text: str) -> Digest:
        """As :meth:`resolve`, of an image whose documents may be damaged."""
        with self.database.read() as rows:
            return self.find(rows, text)

    def holders(self, manifest: Digest) -> list[str]:
        """Who leases an image: containers' ids."""
        with self.database.read() as rows:
            query = "SELECT holder FROM leases WHERE manifest = ? ORDER BY holder"
            return [str(holder) for (holder,) in rows.execute(query, (manifest,))]

    def add(
        self,
        manifest: Manifest,
        names: tuple[str, ...],
        index: Index | None = None,
        whole: tuple[str, ...] = (),
    ) -> Image:
        """List an image whose blobs and layers are all here, under these names; and the index
        that it came out of, which is kept whole, under those."""
        with self.database.write() as rows:
            known = rows.execute(
                "SELECT media_type FROM images WHERE manifest = ?", (manifest.digest,)
            ).fetchone()
            if known and known[0] != manifest.media_type:
                raise Ambiguous(
                    f"image {manifest.digest}: is here as {known[0]}, not {manifest.media_type}"
                )
            rows.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (manifest.digest, manifest.media_type, manifest.config.digest, now.wall()),
            )
            for name in names:
                rows.execute(_SET_NAME, (name, manifest.digest))
            if index is not None:
                self.bundles.insert(rows, index, whole)
            return self._view(rows, manifest.digest)

    def add_layer(self, layer: Layer, unpacked: int) -> None:
        """Nothing points to it yet: it is on disk with the change that does."""
        with self.database.write(lazy=True) as rows:
            row = (layer.chain_id, layer.diff_id, layer.digest, layer.size)
            rows.execute(
                "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?)",
                (*row, layer.media_type, unpacked),
            )

    def create(
        self, config: ImageConfig, layers: tuple[Layer, ...], name: Reference | None
    ) -> Image:
        data = config._replace(diff_ids=tuple(layer.diff_id for layer in layers)).encode()
        digest = self.blobs.put(data)
        manifest = build_manifest(
            Descriptor(OCI_CONFIG, digest, len(data)),
            tuple(Descriptor(item.media_type, item.digest, item.size) for item in layers),
        )
        self.blobs.put(manifest.data)
        return self.add(manifest, (str(name),) if name else ())

    def tag(self, image: Image, name: Reference, bundle: Bundle | None = None) -> Image:
        if name.digest is not None:
            raise Invalid(f"image reference: {name}: a tag is expected, not a digest")
        with self.database.write() as rows:
            rows.execute(_SET_NAME, (str(name), image.digest))
            if bundle is not None:
                self.bundles.insert(rows, bundle.document, (str(name),))
            return self._view(rows, image.digest)

    def tag_bundle(self, bundle: Bundle, name: Reference) -> None:
        """Give an index or artifact, of which no image is here, one more name."""
        if name.digest is not None:
            raise Invalid(f"image reference: {name}: a tag is expected, not a digest")
        self.bundles.add(bundle.document, (str(name),))

    def set_name(self, name: str, image: Image) -> None:
        """One more name for a listed image, in normal form."""
        with self.database.write() as rows:
            rows.execute(_SET_NAME, (name, image.digest))

    def repositories(self, name: Reference) -> dict[Digest, str]:
        """Blobs that other repositories of this name's registry are known to have: where."""
        found: dict[Digest, str] = {}
        for image in self.all():
            for text in image.digests:
                other = parse_reference(text)
                if other.registry == name.registry and other.repository != name.repository:
                    for layer in image.layers:
                        packed = self.recall_packed(layer.digest)
                        found[packed[0] if packed else layer.digest] = other.repository
        return found

    def remember_packed(self, plain: Digest, digest: Digest, size: int) -> None:
        """What a push made of a plain layer."""
        with self.database.write() as rows:
            rows.execute("INSERT OR REPLACE INTO packed VALUES (?, ?, ?)", (plain, digest, size))

    def recall_packed(self, plain: Digest) -> tuple[Digest, int] | None:
        """Digest and size of what a push made of a plain layer before."""
        with self.database.read() as rows:
            row = rows.execute(
                "SELECT digest, size FROM packed WHERE blob = ?", (plain,)
            ).fetchone()
        return (Digest(row[0]), row[1]) if row else None

    def mount_layers(self, layers: tuple[Layer, ...]) -> list[str]:
        """Directories of these layers (lowest first), topmost first. One that is gone is unpacked
        again from its blob."""
        below: list[Digest] = []
        for layer in layers:
            if not self.layers.has(layer.chain_id):
                self._unpack_again(layer, below[::-1])
            below.append(layer.chain_id)
        return self.layers.lowers(below)

    def _unpack_again(self, layer: Layer, below: list[Digest]) -> None:
        chunks = self.blobs.chunks(Descriptor(layer.media_type, layer.digest, layer.size))
        what = f"layer {layer.digest}"
        with self.adding(), self.layers.unpack(chunks, layer.diff_id, what) as staged:
            self.layers.adopt(staged, layer.chain_id, below)

    def lease(self, image: Image, holder: str, lasting: bool) -> None:
        if not lasting:
            self.fleeting.take(image.digest, holder)
        with self.database.write() as rows:  # where nothing is written nobody waits for the disk
            if lasting:
                rows.execute("INSERT OR IGNORE INTO leases VALUES (?, ?)", (holder, image.digest))
            elif not rows.execute(_IS_THERE, (image.digest,)).fetchone():
                self.fleeting.drop(holder)
                raise ImageNotFound(f"image: {image.id}: it was removed just now")

    def release(self, holder: str) -> None:
        if self.fleeting.drop(holder):
            return
        with self.database.write() as rows:
            rows.execute("DELETE FROM leases WHERE holder = ?", (holder,))

    def remember(self, key: str, layer: Layer) -> None:
        """Keep what a build step made, under what it depended on."""
        with self.database.write() as rows:
            rows.execute("INSERT OR REPLACE INTO cache VALUES (?, ?)", (key, layer.chain_id))

    def unpacked(self, layers: tuple[Layer, ...]) -> list[int]:
        """Bytes of the layers' tar streams."""
        with self.database.read() as rows:
            found = [rows.execute(_UNPACKED, (layer.chain_id,)).fetchone() for layer in layers]
        return [row[0] if row else 0 for row in found]

    def usage(self) -> int:
        """Bytes of all blobs, and of what is unpacked of them."""
        with self.database.read() as rows:
            (unpacked,) = rows.execute("SELECT coalesce(sum(unpacked), 0) FROM layers").fetchone()
        return int(unpacked) + sum(
            os.stat(self.blobs.path(digest)).st_size for digest in self.blobs.all()
        )

    def cached(self) -> list[Layer]:
        """Layers that build steps are remembered with and no image has."""
        used = {layer.chain_id for image in self.all() for layer in image.layers}
        query = (
            "SELECT DISTINCT blob, diff, chain, size, media_type FROM layers JOIN cache "
            "USING (chain)"
        )
        with self.database.read() as rows:
            found = [
                Layer(Digest(row[0]), Digest(row[1]), Digest(row[2]), row[3], row[4])
                for row in rows.execute(query)
            ]
        return [layer for layer in found if layer.chain_id not in used]

    def recall(self, key: str) -> Layer | None:
        """The layer that a build step made before, if all of it is still here."""
        with self.database.read() as rows:
            row = rows.execute(
                "SELECT blob, diff, chain, size, media_type FROM layers JOIN cache USING (chain) "
                "WHERE key = ?",
                (key,),
            ).fetchone()
        if row is None:
            return None
        layer = Layer(Digest(row[0]), Digest(row[1]), Digest(row[2]), row[3], row[4])
        blob = Descriptor(layer.media_type, layer.digest, layer.size)
        return layer if self.blobs.has(blob) and self.layers.has(layer.chain_id) else None


_UNPACKED = "SELECT unpacked FROM layers WHERE chain = ?"
_SET_NAME = (
    "INSERT INTO names VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET manifest = excluded.manifest"
)


def _by_name(rows: sqlite.Connection, reference: Reference) -> Digest | None:
    pinned = reference._replace(tag=None) if reference.digest else reference
    row = rows.execute("SELECT manifest FROM names WHERE name = ?", (str(pinned),)).fetchone()
    if row is None and reference.digest:
        row = rows.execute(
            "SELECT manifest FROM names WHERE manifest = ? AND name GLOB ?",
            (reference.digest, reference.name + "[:@]*"),
        ).fetchone()
    return Digest(row[0]) if row else None


def _is_none(bundle: Bundle, text: str) -> Unsupported:
    """Why there is no image where there is something."""
    if isinstance(bundle.document, Index):
        have = sorted({str(entry.platform) for entry in bundle.document.manifests
                       if entry.platform})  # fmt: skip
        reason = f"has no image for {host_platform()}: it has {', '.join(have) or 'none'}"
    else:
        reason = f"is an artifact ({bundle.meaning.artifact_type}), no image: it cannot run"
    return Unsupported(f"image: {text}: {reason}")


def layers_of(manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...]:
    """The manifest's layers joined to the configuration's; they must be as many."""
    if len(manifest.layers) != len(config.diff_ids):
        raise ContentMismatch(
            f"image {manifest.digest}: {len(manifest.layers)} layers, "
            f"but its configuration names {len(config.diff_ids)}"
        )
    return tuple(
        Layer(blob.digest, diff_id, chain, blob.size, blob.media_type)
        for blob, diff_id, chain in zip(
            manifest.layers, config.diff_ids, chain_ids(config.diff_ids), strict=True
        )
    )
