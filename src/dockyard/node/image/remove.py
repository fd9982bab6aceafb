"""Turns a removed name into what goes with it: the image, its layers, its blobs."""

import contextlib
from collections.abc import Callable

from dockyard.base import sqlite
from dockyard.base.errors import DockyardError, Invalid, Unsupported
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.bundles import Bundle
from dockyard.node.image.catalog import Catalog
from dockyard.node.image.image import Image, ImageInUse, Removed

_UNHELD = "SELECT manifest, id FROM images WHERE manifest NOT IN (SELECT manifest FROM leases)"
_ALONE = "SELECT name FROM bundle_names WHERE name NOT IN (SELECT name FROM names)"
_UNNAMED = (
    "SELECT manifest, id FROM images WHERE manifest NOT IN (SELECT manifest FROM leases) "
    "AND manifest NOT IN (SELECT manifest FROM names)"
)


def remove(catalog: Catalog, text: str, force: bool) -> Removed:
    """Docker's rules: a name goes; with its last name the image goes; an ID takes all its names
    if there is one, or if forced."""
    if (found := _alone(catalog, text)) is not None:
        return _remove_bundle(catalog, found, text)
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
    whole = any(catalog.bundles.digest_of(name) for name in going)
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
    deleted = collect(catalog) if last or whole else ()
    deleted = tuple(dict.fromkeys((image.id, *deleted))) if last else deleted
    return Removed(tuple(dict.fromkeys(untagged)), deleted)


def _alone(catalog: Catalog, text: str) -> Bundle | None:
    """The index or artifact that this means, where it means no image."""
    try:
        catalog.find_manifest(text)
    except Unsupported:
        return catalog.find_bundle(text)
    except DockyardError:
        return None
    return None


def _remove_bundle(catalog: Catalog, bundle: Bundle, text: str) -> Removed:
    with contextlib.suppress(Invalid):
        name = str(parse_reference(text))
        if name in bundle.names:
            catalog.bundles.unname((name,))
            gone = collect(catalog) if bundle.names == (name,) else ()
            return Removed((name,), gone)
    catalog.bundles.unname(bundle.names)
    return Removed(bundle.names, collect(catalog))


def prune(
    catalog: Catalog, everything: bool, chosen: Callable[[Image], bool] | None = None
) -> Removed:
    """Drop images without a name (or all that nobody leases), the build cache, indexes and
    artifacts with ``everything``, and content that nothing points to."""
    wanted = None if chosen is None else {image.digest for image in catalog.all() if chosen(image)}
    with catalog.database.write() as rows:
        held = set(catalog.fleeting.holders().values())
        found = rows.execute(_UNHELD if everything else _UNNAMED).fetchall()
        gone = [(manifest, identifier) for manifest, identifier in found if manifest not in held
                and (wanted is None or manifest in wanted)]  # fmt: skip
        untagged: list[str] = []
        for manifest, _ in gone:
            named = rows.execute("SELECT name FROM names WHERE manifest = ?", (manifest,))
            untagged += [name for (name,) in named]
            rows.execute("DELETE FROM names WHERE manifest = ?", (manifest,))
            rows.execute("DELETE FROM images WHERE manifest = ?", (manifest,))
        if everything and chosen is None:
            rows.execute("DELETE FROM cache")
            alone = rows.execute(_ALONE).fetchall()
            untagged += [name for (name,) in alone]
            rows.executemany("DELETE FROM bundle_names WHERE name = ?", alone)
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
        blobs, chains, bundles = _needed(catalog)
        for name in list(catalog.layers.all()):
            if name not in chains:
                catalog.layers.remove(name)
        catalog.bundles.drop(bundles)
        gone = tuple(digest for digest in catalog.blobs.all() if digest not in blobs)
        for digest in gone:
            catalog.blobs.remove(digest)
        with catalog.database.write() as rows:
            known = rows.execute("SELECT chain FROM layers").fetchall()
            stale = [(chain,) for (chain,) in known if Digest(chain).hex not in chains]
            rows.executemany("DELETE FROM layers WHERE chain = ?", stale)
        return gone


def _needed(catalog: Catalog) -> tuple[set[str], set[str], set[Digest]]:
    """Digests of blobs, hex names of layers and digests of bundles that something points to."""
    blobs: set[str] = set()
    chains: set[str] = set()
    images = catalog.all()
    kept = catalog.bundles.kept({image.digest for image in images})
    for bundle in kept:
        blobs |= {part.digest for part in catalog.bundles.parts(bundle.document)}
    for image in images:
        blobs |= {image.digest, image.id}
        for layer in image.layers:
            blobs.add(layer.digest)
            chains.add(layer.chain_id.hex)
    with catalog.database.read() as rows:
        cached = rows.execute("SELECT chain, blob FROM layers JOIN cache USING (chain)")
        for chain, blob in cached.fetchall():
            chains.add(Digest(chain).hex)
            blobs.add(blob)
    return blobs, chains, {bundle.digest for bundle in kept}


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
