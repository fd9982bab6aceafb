"""``dockyard pull``: turns a name into an image on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid
from dockyard.base.oci.manifest import NotAnImage
from dockyard.base.oci.platform import parse_platform
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    from argparse import Namespace

    from dockyard.node.image.image import Image
    from dockyard.node.image.registry.hosts import Hosts

EXAMPLES = """  dockyard pull alpine
  dockyard pull --platform linux/arm64 registry.example.com:5000/team/app:1
  dockyard pull -a localhost:5000/team/app
"""


def run(argv: list[str]) -> int:
    parser = common.Parser(
        "pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Fetch an image from a registry.", EXAMPLES
    )
    parser.add_argument("name", metavar="NAME[:TAG|@DIGEST]")
    parser.add_argument("--platform", help="os/architecture, if not this machine's")
    parser.flag("-a", "--all-tags", help="all images of the repository")
    parser.flag("--all-platforms", help="the whole index, with every platform's image")
    parser.flag("--referrers", help="what is about it too: signatures, SBOMs")
    imageview.add_registry_options(parser)
    imageview.add_content_trust(parser)
    words = parser.parse_args(argv)
    imageview.refuse_content_trust(words)
    if words.all_tags:
        words.platform = words.platform or common.usual_platform()
        return _all_tags(words)
    reference = parse_reference(words.name)
    if ":" not in words.name.rpartition("/")[2] and not words.quiet and words.output == "text":
        print(f"Using default tag: {reference.tag}")
    imageview.say_squashed()
    if words.all_platforms or words.referrers:
        if words.platform:
            raise Invalid("--platform can't be used with --all-platforms or --referrers")
        return _whole(words)
    words.platform = words.platform or common.usual_platform()
    try:
        return _pull(words)
    except NotAnImage:
        return _whole(words)


def _pull(words: Namespace) -> int:
    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        store = imageview.open_store(words)
        image = store.pull(
            words.name,
            platform=parse_platform(words.platform) if words.platform else None,
            auth=imageview.credentials(words),
            progress=progress,
        )
    if words.output == "json":
        imageview.print_json(imageview.summary(image))
    else:
        print(_pulled(words.name, image, store.hosts))
    return 0


def _whole(words: Namespace) -> int:
    store = imageview.open_store(words)
    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        store.pull_whole(words.name, referrers=words.referrers,
                         auth=imageview.credentials(words), progress=progress)  # fmt: skip
    if words.output == "json":
        from dockyard.cli.image import described

        imageview.print_json(described(store, words.name))
    else:
        print(parse_reference(words.name))
    return 0


def _pulled(text: str, image: Image, hosts: Hosts) -> str:
    """The full name under which it came."""
    from dockyard.node.image.registry.shortnames import resolve_short

    names = resolve_short(hosts, text).names
    return str(next((name for name in names if str(name) in image.names), names[0]))


def _all_tags(words: Namespace) -> int:
    """Each tag as a pull of its own; the first that fails ends it."""
    if ":" in words.name.rpartition("/")[2] or "@" in words.name:
        raise Invalid("tag can't be used with --all-tags/-a")
    name = parse_reference(words.name).name
    store, auth = imageview.open_store(words), imageview.credentials(words)
    imageview.say_squashed()
    found = []
    for tag in store.tags(words.name, auth=auth):
        with imageview.progress_for(words.quiet or words.output == "json") as progress:
            platform = parse_platform(words.platform) if words.platform else None
            pulled = store.pull(f"{name}:{tag}", platform=platform, auth=auth, progress=progress)
            found.append(pulled)
    if words.output == "json":
        imageview.print_json([imageview.summary(image) for image in found])
    else:
        print(name)
    return 0
