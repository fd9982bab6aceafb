"""``dockyard push``: turns a local image into one at the registry that its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, NotFound
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    from argparse import Namespace


def run(argv: list[str]) -> int:
    parser = common.Parser("push", "[OPTIONS] NAME[:TAG]", "Send an image to a registry.")
    parser.add_argument("name", metavar="NAME[:TAG]")
    parser.flag("-a", "--all-tags", help="all tags that the repository has here")
    imageview.add_registry_options(parser)
    imageview.add_content_trust(parser)
    words = parser.parse_args(argv)
    imageview.refuse_content_trust(words)
    if words.all_tags:
        return _all_tags(words)
    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        digest = imageview.open_store(words).push(
            words.name, auth=imageview.credentials(words), progress=progress
        )
    name = parse_reference(words.name)
    if words.output == "json":
        imageview.print_json({"Name": str(name), "Digest": digest})
    elif words.quiet:
        print(name)
    return 0


def _all_tags(words: Namespace) -> int:
    if ":" in words.name.rpartition("/")[2] or "@" in words.name:
        raise Invalid("tag can't be used with --all-tags/-a")
    name = parse_reference(words.name).name
    store, auth = imageview.open_store(words), imageview.credentials(words)
    mine = sorted(
        text for image in store.list() for text in image.names if parse_reference(text).name == name
    )
    if not mine:
        raise NotFound(f"An image does not exist locally with the tag: {words.name}")
    sent = []
    for text in mine:
        with imageview.progress_for(words.quiet or words.output == "json") as progress:
            sent.append({"Name": text, "Digest": store.push(text, auth=auth, progress=progress)})
    if words.output == "json":
        imageview.print_json(sent)
    elif words.quiet:
        print(name)
    return 0
