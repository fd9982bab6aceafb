"""``dockyard pull``: turns a name into an image on this machine."""

from __future__ import annotations

from dockyard.base.oci.platform import parse_platform
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    parser = common.Parser(
        "pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Fetch an image from a registry."
    )
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("--platform", help="os/architecture, if not this machine's")
    imageview.add_registry_options(parser)
    words = parser.parse_args(argv)
    reference = parse_reference(words.name)
    if ":" not in words.name.rpartition("/")[2] and not words.quiet and words.output == "text":
        print(f"Using default tag: {reference.tag}")
    imageview.say_squashed()
    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        image = imageview.open_store(words).pull(
            words.name,
            platform=parse_platform(words.platform) if words.platform else None,
            auth=imageview.credentials(words),
            progress=progress,
        )
    if words.output == "json":
        imageview.print_json(imageview.summary(image))
    else:
        print(reference)
    return 0
