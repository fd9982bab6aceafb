"""``dockyard images``: turns the store's images into a table."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from dockyard.base.aio import now
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imagebundle, imagefilters, imageview

if TYPE_CHECKING:
    import argparse

    from dockyard.node.image.bundles import Bundle
    from dockyard.node.image.image import Image
    from dockyard.node.image.store import ImageStore

_COLUMNS = {"Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID",
            "CreatedSince": "CREATED", "Size": "SIZE"}  # fmt: skip
_HEADINGS = {**_COLUMNS, "CreatedAt": "CREATED AT", "SharedSize": "SHARED SIZE",
             "UniqueSize": "UNIQUE SIZE"}  # fmt: skip
_NONE = "<none>"
_UNKNOWN = "N/A"
"""What docker says of what takes too long to count."""


def run(argv: list[str]) -> int:
    parser = common.Parser("images", "[OPTIONS] [NAME[:TAG]]", "List images.")
    parser.add_argument("name", nargs="?", help="only this repository or name")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only IDs")
    parser.add_argument("--digests", action="store_true", help="show digests")
    parser.add_argument("--no-trunc", action="store_true", help="show IDs in full")
    parser.add_argument("-a", "--all", action="store_true", help="accepted; all are shown anyway")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.many("-f", "--filter", metavar="KEY=VALUE", help=", ".join(imagefilters.LISTED))
    words = parser.parse_args(argv)
    store = imageview.open_store()
    filters = imagefilters.parse(words.filter, imagefilters.LISTED, store.resolve)
    found = [
        image._replace(names=filters.names(image))
        for image in sorted(store.list(), key=_created, reverse=True)
        if filters.fits(image) and _wanted(image, words.name)
    ]
    bundles = [] if filters.values else _bundles(store, words.name)
    if words.output == "json":
        imageview.print_json([
            *(imageview.summary(image) for image in found),
            *(imagebundle.describe(store, bundle) for bundle in bundles),
        ])  # fmt: skip
        return 0
    if words.quiet:
        identifiers = [_identifier(image, words.no_trunc) for image in found]
        identifiers += [
            str(each.digest) if words.no_trunc else each.digest.short for each in bundles
        ]
        for identifier in dict.fromkeys(identifiers):
            print(identifier)
        return 0
    rows = [row for image in found for row in _rows(image, words)]
    for bundle in bundles:
        rows += imagebundle.rows(bundle, words.no_trunc)
    if words.format:
        from dockyard.cli.template import listed

        print(listed(words.format, rows, _HEADINGS), end="")
        return 0
    keys = [key for key in _COLUMNS if key != "Digest" or words.digests]
    cells = [[row[key] for key in keys] for row in rows]
    print(common.table([_COLUMNS[key] for key in keys], cells))
    return 0


def _bundles(store: ImageStore, text: str | None) -> list[Bundle]:
    """Indexes and artifacts of which no image is here: with the names that are theirs alone."""
    taken = {name for image in store.list() for name in image.names}
    found = []
    for bundle in store.bundles():
        names = [name for name in bundle.names if name not in taken]
        wanted = tuple(name for name in names if text is None or _means(text, name))
        if wanted:
            found.append(bundle._replace(names=wanted))
    return found


def _means(text: str, name: str) -> bool:
    wanted, found = parse_reference(text), parse_reference(name)
    return found.name == wanted.name and (":" not in text.rpartition("/")[2] or found == wanted)


def _wanted(image: Image, text: str | None) -> bool:
    if text is None:
        return True
    if set(text) & set("*?["):
        return bool(imagefilters.Filters({"reference": [text]}, {}).names(image))
    wanted = parse_reference(text)
    names = [parse_reference(name) for name in image.names]
    exact = ":" in text.rpartition("/")[2]
    return any(name.name == wanted.name and (not exact or name == wanted) for name in names)


def _created(image: Image) -> float:
    """Docker's and podman's order; what says no time is the oldest."""
    try:
        return now.parse_stamp(image.config.created)
    except ValueError:
        return -math.inf


def _moment(seconds: float) -> str:
    if seconds == -math.inf:
        return _UNKNOWN
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))} +0000 UTC"


def _rows(image: Image, words: argparse.Namespace) -> list[dict[str, str]]:
    names = [parse_reference(name) for name in image.names]
    heads = [(name.familiar_name, name.tag or _NONE) for name in names]
    if not heads:
        heads = [(parse_reference(name).familiar_name, _NONE) for name in image.digests[:1]]
    return [
        {"Containers": _UNKNOWN, "CreatedAt": _moment(_created(image)),
         "CreatedSince": imageview.age(image.config.created), "Digest": image.digest,
         "ID": _identifier(image, words.no_trunc), "Repository": repository,
         "SharedSize": _UNKNOWN, "Size": imageview.size(image.size), "Tag": tag,
         "UniqueSize": _UNKNOWN}
        for repository, tag in heads or [(_NONE, _NONE)]
    ]  # fmt: skip


def _identifier(image: Image, full: bool) -> str:
    return str(image.id) if full else image.id.short
