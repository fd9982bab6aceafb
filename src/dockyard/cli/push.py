"""``dockyard push``: turns a local image into one at the registry that its name says."""

from __future__ import annotations

from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    parser = common.Parser("push", "[OPTIONS] NAME[:TAG]", "Send an image to a registry.")
    parser.add_argument("name", metavar="NAME[:TAG]")
    imageview.add_registry_options(parser)
    words = parser.parse_args(argv)
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
