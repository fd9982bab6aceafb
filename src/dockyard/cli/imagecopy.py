"""``dockyard image copy``: turns an image of one registry into the same one of another."""

from __future__ import annotations

from dockyard.base.oci.platform import parse_platform
from dockyard.cli import common, imageview

EXAMPLES = """  dockyard image copy docker.io/library/alpine:3 registry.example.com/base/alpine:3
  dockyard image copy --platform linux/arm64 team/app:1 localhost:5000/app:1-arm
"""


def run(argv: list[str]) -> int:
    what = "Copy an image from registry to registry, with all its platforms; nothing is kept here."
    parser = common.Parser("image copy", "[OPTIONS] SOURCE TARGET", what, EXAMPLES)
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("name", metavar="TARGET")
    parser.add_argument("--platform", help="only this one: os/architecture[/variant]")
    parser.flag("--referrers", help="all that is about it too: SBOMs, attestations; signatures go")
    parser.add_argument("--src-creds", metavar="USER:PASSWORD", help="for the source")
    imageview.add_registry_options(parser)
    words = parser.parse_args(argv)
    from dockyard.node.image.registry.credentials import parse_login

    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        digest = imageview.open_store(words, words.source).copy(
            words.source,
            words.name,
            platform=parse_platform(words.platform) if words.platform else None,
            source_auth=parse_login(words.src_creds) if words.src_creds else None,
            auth=imageview.credentials(words),
            progress=progress,
            referrers=words.referrers,
        )
    if words.output == "json":
        imageview.print_json({"Name": words.name, "Digest": digest})
    elif words.quiet:
        print(digest)
    return 0
