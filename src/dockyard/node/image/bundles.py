"""Turns what is no image itself into rows and blobs: indexes kept whole, artifacts, and referrers.

A bundle is a document and all that it names, as bytes: nothing of it is unpacked. One with a name
stays until that goes; one that is about another manifest (its ``subject``, OCI image-spec 1.1,
manifest.md) stays as long as that does.
"""

from __future__ import annotations

from dockyard.base import sqlite
from dockyard.base.aio import now
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import Index, Manifest, parse_document
from dockyard.base.oci.meaning import Meaning, meaning_of
from dockyard.base.typed import NamedTuple
from dockyard.node.image.blobs import Blobs
from dockyard.node.image.database import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


_DEEPEST = 8
"""Referrers of referrers; whose subjects go round in a circle end here too."""


class Bundle(NamedTuple):
    """An index or an artifact, as the store has it."""

    document: Manifest | Index
    meaning: Meaning
    names: tuple[str, ...]
    size: int
    """Bytes of what is here of it."""

    @property
    def digest(self) -> Digest:
        return self.document.digest

    @property
    def kind(self) -> str:
        """``index`` or ``artifact``."""
        return "index" if isinstance(self.document, Index) else "artifact"


class Child(NamedTuple):
    """One manifest that an index names."""

    entry: Descriptor
    manifest: Manifest | None
    """None: it is not here."""
    whole: bool
    """Whether all that it names is here."""


class Bundles:
    """The bundles of one store."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database, self._blobs = database, blobs

    def add(self, document: Manifest | Index, names: tuple[str, ...]) -> None:
        """List a document whose blobs are here. Its names are no image's any more."""
        with self._database.write() as rows:
            rows.executemany("DELETE FROM names WHERE name = ?", [(name,) for name in names])
            self.insert(rows, document, names)

    def insert(
        self, rows: sqlite.Connection, document: Manifest | Index, names: tuple[str, ...]
    ) -> None:
        """As :meth:`add`, within a change that has given the names to the index' own image."""
        subject = meaning_of(document).subject
        rows.execute(
            "INSERT INTO bundles VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (document.digest, document.media_type, subject and subject.digest, now.wall()),
        )
        for name in names:
            rows.execute(_SET_NAME, (name, document.digest))

    def named(self, name: str) -> Bundle | None:
        """The one that a name in normal form means, beside the image of that name or alone."""
        digest = self.digest_of(name)
        return self.view(digest) if digest else None

    def digest_of(self, name: str) -> Digest | None:
        """As :meth:`named`, of one whose document may be damaged."""
        with self._database.read() as rows:
            row = rows.execute(_DIGEST_OF, (name,)).fetchone()
        return Digest(row[0]) if row else None

    def digests(self) -> list[Digest]:
        """Of all that are listed, the newest first."""
        with self._database.read() as rows:
            found = rows.execute("SELECT digest FROM bundles ORDER BY added DESC, digest")
            return [Digest(row[0]) for row in found]

    def has(self, digest: Digest) -> bool:
        """Whether it is listed."""
        with self._database.read() as rows:
            found = rows.execute("SELECT 1 FROM bundles WHERE digest = ?", (digest,))
            return found.fetchone() is not None

    def names(self, digest: Digest) -> list[str]:
        """Of one whose document may be damaged."""
        with self._database.read() as rows:
            return [str(row[0]) for row in rows.execute(_NAMES_OF, (digest,))]

    def starting(self, hexes: str) -> list[Digest]:
        """Digests that begin with these digits."""
        with self._database.read() as rows:
            found = rows.execute(
                "SELECT digest FROM bundles WHERE digest GLOB ?", (f"sha256:{hexes}*",)
            )
            return [Digest(row[0]) for row in found]

    def view(self, digest: Digest) -> Bundle | None:
        """The listed bundle of this digest."""
        with self._database.read() as rows:
            row = rows.execute(
                "SELECT media_type FROM bundles WHERE digest = ?", (digest,)
            ).fetchone()
            if row is None:
                return None
            names = rows.execute(
                "SELECT name FROM bundle_names WHERE digest = ? ORDER BY name", (digest,)
            ).fetchall()
        found = parse_document(self._blobs.read(digest), row[0], f"bundle {digest}")
        document = found._replace(digest=digest)
        here = {blob.digest: blob.size for blob in self.parts(document) if self._blobs.has(blob)}
        return Bundle(document, meaning_of(document), tuple(name for (name,) in names),
                      sum(here.values()))  # fmt: skip

    def all(self) -> list[Bundle]:
        """Every bundle, the newest first."""
        return [bundle for digest in self.digests() if (bundle := self.view(digest))]

    def referrers(self, subject: Digest) -> list[Bundle]:
        """What is here about a manifest, the oldest first."""
        with self._database.read() as rows:
            found = rows.execute(
                "SELECT digest FROM bundles WHERE subject = ? ORDER BY added, digest", (subject,)
            )
            digests = [Digest(row[0]) for row in found]
        return [bundle for digest in digests if (bundle := self.view(digest))]

    def children(self, index: Index) -> list[Child]:
        """An index' manifests, in its order."""
        found = []
        for entry in index.manifests:
            manifest = None
            if self._blobs.has(entry):
                parsed = parse_document(
                    self._blobs.read(entry.digest), entry.media_type, f"bundle {entry.digest}"
                )
                manifest = parsed if isinstance(parsed, Manifest) else None
            whole = manifest is not None and all(
                self._blobs.has(blob) for blob in (manifest.config, *manifest.layers)
            )
            found.append(Child(entry, manifest, whole))
        return found

    def parts(self, document: Manifest | Index) -> Iterator[Descriptor]:
        """The document, and every blob below it; those that are not here too."""
        kind = document.media_type
        yield Descriptor(kind, document.digest, len(document.data))
        if isinstance(document, Manifest):
            yield from (document.config, *document.layers)
            return
        for child in self.children(document):
            yield child.entry
            if child.manifest is not None:
                yield from (child.manifest.config, *child.manifest.layers)

    def kept(self, images: set[Digest]) -> list[Bundle]:
        """Those with a name, and those about something that is kept; ``images``: manifests."""
        left = {bundle.digest: bundle for bundle in self.all()}
        found: list[Bundle] = []
        targets = set(images)
        fresh = [bundle for bundle in left.values() if bundle.names]
        for _ in range(_DEEPEST):
            for bundle in fresh:
                found.append(left.pop(bundle.digest))
                targets |= {part.digest for part in self.parts(bundle.document)}
            fresh = [
                bundle
                for bundle in left.values()
                if bundle.meaning.subject and bundle.meaning.subject.digest in targets
            ]
            if not fresh:
                break
        return found

    def drop(self, kept: set[Digest]) -> None:
        """Forget all others."""
        with self._database.write() as rows:
            known = rows.execute("SELECT digest FROM bundles").fetchall()
            stale = [(digest,) for (digest,) in known if digest not in kept]
            rows.executemany("DELETE FROM bundle_names WHERE digest = ?", stale)
            rows.executemany("DELETE FROM bundles WHERE digest = ?", stale)

    def unname(self, names: tuple[str, ...]) -> None:
        """Take names away that no image has."""
        gone = [(name,) for name in names]
        with self._database.write() as rows:
            rows.executemany("DELETE FROM bundle_names WHERE name = ?", gone)


_DIGEST_OF = "SELECT digest FROM bundle_names WHERE name = ?"
_NAMES_OF = "SELECT name FROM bundle_names WHERE digest = ? ORDER BY name"
_SET_NAME = (
    "INSERT INTO bundle_names VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET digest = excluded.digest"
)
