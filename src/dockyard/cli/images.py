"""``dockyard images``: turns the store's images into a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    import argparse

    from dockyard.node.image.image import Image

_HEADS = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")
_KEYS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
_NONE = "<none>"


def run(argv: list[str]) -> int:
    parser = common.Parser("images", "[OPTIONS] [NAME[:TAG]]", "List images.")
    parser.add_argument("name", nargs="?", help="only this repository or name")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only IDs")
    parser.add_argument("--digests", action="store_true", help="show digests")
    parser.add_argument("--no-trunc", action="store_true", help="show IDs in full")
    parser.add_argument("-a", "--all", action="store_true", help="accepted; all are shown anyway")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    words = parser.parse_args(argv)
    found = [image for image in imageview.open_store().list() if _wanted(image, words.name)]
    if words.output == "json":
        imageview.print_json([imageview.summary(image) for image in found])
        return 0
    if words.quiet:
        for identifier in dict.fromkeys(_identifier(image, words.no_trunc) for image in found):
            print(identifier)
        return 0
    rows = [row for image in found for row in _rows(image, words)]
    if words.format:
        from dockyard.cli.template import listed

        keys = [*_KEYS[:2], "Digest", *_KEYS[2:]] if words.digests else _KEYS
        named = [dict(zip(keys, row, strict=True)) for row in rows]
        print(listed(words.format, named, dict(zip(_KEYS, _HEADS, strict=True))), end="")
        return 0
    heads = [*_HEADS[:2], "DIGEST", *_HEADS[2:]] if words.digests else list(_HEADS)
    print(common.table(heads, rows))
    return 0


def _wanted(image: Image, text: str | None) -> bool:
    if text is None:
        return True
    wanted = parse_reference(text)
    names = [parse_reference(name) for name in image.names]
    exact = ":" in text.rpartition("/")[2]
    return any(name.name == wanted.name and (not exact or name == wanted) for name in names)


def _rows(image: Image, words: argparse.Namespace) -> list[list[str]]:
    tail = (
        _identifier(image, words.no_trunc),
        imageview.age(image.config.created),
        imageview.size(image.size),
    )
    middle = (image.digest,) if words.digests else ()
    names = [parse_reference(name) for name in image.names]
    heads = [(name.familiar_name, name.tag or _NONE) for name in names]
    if not heads:
        heads = [(parse_reference(name).familiar_name, _NONE) for name in image.digests[:1]]
    return [[*head, *middle, *tail] for head in heads or [(_NONE, _NONE)]]


def _identifier(image: Image, full: bool) -> str:
    return str(image.id) if full else image.id.short
