"""``dockyard rmi``: turns names and IDs into removed images."""

from __future__ import annotations

import sys

from dockyard.base.errors import DockyardError, NotFound
from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    parser = common.Parser("rmi", "[OPTIONS] IMAGE...", "Remove images.")
    parser.add_argument("image", nargs="+")
    parser.add_argument(
        "-f", "--force", action="store_true", help="even if it has more names, or is not here"
    )
    parser.flag("--no-prune", help="no effect: an image here has no parents without a name")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    code = 0
    for image in words.image:
        try:
            removed = store.remove(image, force=words.force)
        except DockyardError as error:
            print(f"dockyard: {error}", file=sys.stderr)
            if not (words.force and isinstance(error, NotFound)):  # as docker and podman
                code = error.exit_code
            continue
        for name in removed.untagged:
            print(f"Untagged: {imageview.familiar(name)}")
        for digest in removed.deleted:
            print(f"Deleted: {digest}")
    return code
