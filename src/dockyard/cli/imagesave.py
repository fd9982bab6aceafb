"""``dockyard image save`` and ``export``: turn stored images into archives and folders."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO

from dockyard.base.errors import Invalid
from dockyard.base.wholefile import whole_file
from dockyard.cli import common, imageview, terminal

SAVE = """  dockyard save -o app.tar app:1 app:2
  dockyard save --format oci-archive -o app.oci.tar app:1
  dockyard save --format oci-dir -o app.layout app:1
"""
EXPORT = """  dockyard image export -o root.tar app:1
  dockyard image export app:1 | tar -tv
"""


def save(argv: list[str], noun: str) -> int:
    from dockyard.node.image.save import BOTH, FOLDERS, FORMATS

    parser = common.Parser(f"{noun}save", "[OPTIONS] IMAGE...",
                           "Write images as a tar that docker, podman and skopeo read.",
                           SAVE)  # fmt: skip
    parser.add_argument("-o", "--output", metavar="PATH", help="else to standard output")
    parser.add_argument("--format", choices=FORMATS, default=BOTH, metavar="FORMAT",
                        help=f"{', '.join(FORMATS)}; else a file that is both")  # fmt: skip
    parser.add_argument("image", nargs="+")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    if words.format in FOLDERS:
        if not words.output:
            raise Invalid(f"save: --format {words.format}: is a folder; name it with -o")
        store.save_folder(words.image, words.output, words.format)
        return 0
    if not words.output:
        _refuse_terminal("save")
        store.save(words.image, sys.stdout.buffer, words.format)
        return 0
    with _archive(words.output) as out:
        store.save(words.image, out, words.format)
    return 0


def export(argv: list[str]) -> int:
    parser = common.Parser("image export", "[OPTIONS] IMAGE",
                           "Write an image's root as a tar stream, without starting anything.",
                           EXPORT)  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", help="else to standard output")
    parser.add_argument("image", metavar="IMAGE")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    pieces = store.export(store.resolve(words.image))
    if not words.output:
        _refuse_terminal("export")
        for piece in pieces:
            terminal.write_all(1, piece)
        return 0
    with _archive(words.output) as out:
        out.writelines(pieces)
    return 0


def _refuse_terminal(verb: str) -> None:
    if sys.stdout.isatty():
        raise Invalid(f"image {verb}: not to a terminal; use -o FILE, or redirect")


@contextlib.contextmanager
def _archive(path: str) -> Iterator[IO[bytes]]:
    """A file that is whole or not there; a device or fifo is written as it is."""
    if os.path.lexists(path) and not os.path.isfile(path):
        with open(path, "wb") as out:
            yield out
        return
    with whole_file(path) as out:
        yield out
