"""Turns a removed name into what goes with it: the image, its layers, its blobs."""

from dockyard.base import sqlite
from dockyard.base.errors import Invalid
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.image import Image, ImageInUse, Removed

_UNHELD = "SELECT manifest, id FROM images WHERE manifest NOT IN (SELECT manifest FROM leases)"
_UNNAMED = (
    "SELECT manifest, id FROM images WHERE manifest NOT IN (SELECT manifest FROM leases) "
    "AND manifest NOT IN (SELECT manifest FROM names)"
)


def remove(catalog: Catalog, text: str, force: bool) -> Removed:
    """Docker's rules: a name goes; with its last name the image goes; an ID takes all its names
    if there is one, or if forced."""
    image = catalog.resolve(text)
    tags = image.names
    named = _names_meant(image, text)
    if not named and len(tags) > 1 and not force:
        raise ImageInUse(
            f"image: {image.id.short}: has {len(tags)} names ({', '.join(tags)}); "
            "remove them by name, or with --force"
        )
    going = set(named or image.names)
    last = going >= set(tags)
    with catalog.database.write() as rows:
        if last:
            holders = _holders(catalog, rows, image.digest)
            if holders and not force:
                raise ImageInUse(
                    f"image: {text}: container {holders[0][:12]} uses it; remove that first"
                )
            last = not holders
        untagged = [name for name in (*image.names, *image.digests) if name in going]
        if last:
            untagged += image.digests
        rows.executemany("DELETE FROM names WHERE name = ?", [(name,) for name in untagged])
        if last:
            rows.execute("DELETE FROM images WHERE manifest = ?", (image.digest,))
    deleted = collect(catalog) if last else ()
    deleted = tuple(dict.fromkeys((image.id, *deleted))) if last else ()
    return Removed(tuple(dict.fromkeys(untagged)), deleted)


def prune(catalog: Catalog, everything: bool) -> Removed:
    """Drop images without a name (or all that nobody leases), the build cache with
    ``everything``, and content that nothing points to."""
    with catalog.database.write() as rows:
        held = set(catalog.fleeting.holders().values())
        found = rows.execute(_UNHELD if everything else _UNNAMED).fetchall()
        gone = [(manifest, identifier) for manifest, identifier in found if manifest not in held]
        untagged: list[str] = []
        for manifest, _ in gone:
            named = rows.execute("SELECT name FROM names WHERE manifest = ?", (manifest,))
            untagged += [name for (name,) in named]
            rows.execute("DELETE FROM names WHERE manifest = ?", (manifest,))
            rows.execute("DELETE FROM images WHERE manifest = ?", (manifest,))
        if everything:
            rows.execute("DELETE FROM cache")
    deleted = collect(catalog)
    identifiers = [Digest(identifier) for _, identifier in gone]
    return Removed(tuple(untagged), tuple(dict.fromkeys((*identifiers, *deleted))))


def collect(catalog: Catalog) -> tuple[Digest, ...]:
    """Remove content that no image and no cached build step needs; the digests of blobs gone.

    Does nothing while somebody adds content; the next collection finds it.
    """
    with catalog.collecting() as alone:
        if not alone:
            return ()
        blobs, chains = _needed(catalog)
        for name in list(catalog.layers.all()):
            if name not in chains:
                catalog.layers.remove(name)
        gone = tuple(digest for digest in catalog.blobs.all() if digest not in blobs)
        for digest in gone:
            catalog.blobs.remove(digest)
        with catalog.database.write() as rows:
            known = rows.execute("SELECT chain FROM layers").fetchall()
            stale = [(chain,) for (chain,) in known if Digest(chain).hex not in chains]
            rows.executemany("DELETE FROM layers WHERE chain = ?", stale)
        return gone


def _needed(catalog: Catalog) -> tuple[set[str], set[str]]:
    """Digests of blobs and hex names of layers that something points to."""
    blobs: set[str] = set()
    chains: set[str] = set()
    for image in catalog.all():
        blobs |= {image.digest, image.id}
        for layer in image.layers:
            blobs.add(layer.digest)
            chains.add(layer.chain_id.hex)
    with catalog.database.read() as rows:
        cached = rows.execute("SELECT chain, blob FROM layers JOIN cache USING (chain)")
        for chain, blob in cached.fetchall():
            chains.add(Digest(chain).hex)
            blobs.add(blob)
    return blobs, chains


def _names_meant(image: Image, text: str) -> tuple[str, ...]:
    """The image's names that ``text`` spells; none where it is an ID."""
    try:
        reference = parse_reference(text)
    except Invalid:
        return ()
    wanted = str(reference._replace(tag=None) if reference.digest else reference)
    return tuple(name for name in (*image.names, *image.digests) if name == wanted)


def _holders(catalog: Catalog, rows: sqlite.Connection, manifest: Digest) -> list[str]:
    found = rows.execute("SELECT holder FROM leases WHERE manifest = ?", (manifest,))
    fleeting = catalog.fleeting.holders().items()
    return [*(holder for (holder,) in found), *(who for who, what in fleeting if what == manifest)]
