"""``dockyard image``: turns the second word into one thing done to images."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dockyard.base.errors import NotFound, Unsupported
from dockyard.base.oci.instance import data_root
from dockyard.base.oci.meaning import meaning_of
from dockyard.cli import (
    agree,
    common,
    history,
    imagebundle,
    imagecopy,
    imagediff,
    imagefilters,
    imagerisk,
    images,
    imagesave,
    imagetree,
    imagetrust,
    imageverify,
    imageview,
    pull,
    push,
    rmi,
)

if TYPE_CHECKING:
    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.image.image import Image
    from dockyard.node.image.store import ImageStore


NOUN: ContextVar[str] = ContextVar("noun", default="image ")
"""Empty while docker's short form of a verb runs: its help shows what was typed."""


def run(argv: list[str]) -> int:
    return common.second_word("image", VERBS, argv)


def _parser(name: str, usage: str, examples: str = "") -> common.Parser:
    return common.Parser(f"{NOUN.get()}{name}", usage, VERBS[name][1] + ".", examples)


def _import(argv: list[str]) -> int:
    parser = _parser(
        "import",
        "[OPTIONS] TAR [NAME]",
        """  dockyard image import root.tar app:1
  tar -C root -c . | dockyard import -c 'CMD ["sh"]' -c 'ENV A=b' - app:1
""",
    )
    parser.add_argument("tar", help="a tar of a root file system, compressed or not; - for stdin")
    parser.add_argument("name", nargs="?")
    parser.many("-c", "--change", metavar="INSTRUCTION", help="of a Dockerfile, for the new image")
    parser.add_argument("-m", "--message", default="")
    parser.add_argument("--platform", help="that it is for: os/architecture[/variant]")
    words = parser.parse_args(argv)
    config = _configured(words.change, words.platform)
    store = imageview.open_store()
    imageview.say_squashed()
    if words.tar == "-":
        file = sys.stdin.buffer
        image = store.import_tar(file, words.name, config=config, message=words.message)
    else:
        try:
            file = open(words.tar, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise NotFound(f"import: {words.tar}: {error.strerror}") from error
        with file:
            image = store.import_tar(file, words.name, config=config, message=words.message)
    print(image.id)
    return 0


def _configured(changes: list[str], platform: str | None) -> ImageConfig | None:
    """What is said of an image that nothing else says something of."""
    if not changes and not platform:
        return None
    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.base.oci.platform import host_platform, parse_platform
    from dockyard.cli.commit import changed

    return changed(changes)(ImageConfig(parse_platform(platform) if platform else host_platform()))


def _build(argv: list[str]) -> int:
    from dockyard.cli import build

    return build.run(argv)


def _load(argv: list[str]) -> int:
    parser = _parser("load", "[OPTIONS]", "  docker save alpine | dockyard image load\n"
                     "  dockyard image load -i oci-archive.tar.gz\n")  # fmt: skip
    parser.add_argument("-i", "--input", metavar="TAR", help="a file or an OCI layout's folder; "
                        "else standard input")  # fmt: skip
    parser.flag("-q", "--quiet", help="print only IDs")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    imageview.say_squashed()
    if words.input is None and sys.stdin.isatty():
        print("requested load from stdin, but stdin is empty", file=sys.stderr)
        return 1
    with imageview.progress_for(words.quiet) as progress:
        loaded = store.load_whole(words.input or "/dev/stdin", progress=progress)
    if words.quiet:
        named = {name for image in loaded.images for name in image.names}
        for image in loaded.images:
            print(image.id)
        for bundle in loaded.bundles:
            if not named & set(bundle.names):
                print(bundle.digest)
    return 0


def _save(argv: list[str]) -> int:
    return imagesave.save(argv, NOUN.get())


_INSPECT = """  dockyard image inspect busybox
  dockyard image inspect --format '{{.Config.Cmd}}' busybox
  dockyard image inspect --risk stranger/app:1
  dockyard image inspect --risk --output spdx stranger/app:1 >app.spdx.json
"""


def _inspect(argv: list[str]) -> int:
    parser = common.Parser("image inspect", "[OPTIONS] IMAGE...", VERBS["inspect"][1] + ".",
                           _INSPECT)  # fmt: skip
    parser.add_argument("-f", "--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.flag("--risk", help="what it would do: root, setuid, capabilities, secrets, packages")
    parser.add_argument("--output", choices=imagerisk.FORMS, default="text", help="with --risk")
    parser.add_argument("image", nargs="+")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    if words.risk:
        if words.format:
            parser.error("--format and --risk: one of them")
        return imagerisk.show(store, words.image, words.output)
    if words.output == "spdx":
        parser.error("--output spdx: needs --risk")
    from dockyard.cli.inspect import show

    found: list[dict[str, Any]] = []
    failed = 0
    for text in words.image:
        try:
            found.append(described(store, text))
        except NotFound as error:
            print(f"dockyard: {error}", file=sys.stderr)
            failed = 1
    show(found, words.format)
    return failed


def described(store: ImageStore, text: str) -> dict[str, Any]:
    """An image, index or artifact as `docker image inspect` shows it."""
    bundle = store.bundle(text)
    try:
        image = store.resolve(text)
    except Unsupported:
        if bundle is None:
            raise
        return imagebundle.describe(store, bundle)
    found = describe(image)
    marks = dict(meaning_of(image.manifest).annotations)
    if bundle is not None:
        found |= {"Descriptor": imagebundle.descriptor(bundle), **imagebundle.beyond(store, bundle)}
    elif about := store.catalog.bundles.referrers(image.digest):
        found["Referrers"] = [imagebundle.descriptor(each) for each in about]
    return found | ({"Annotations": marks} if marks else {})


def describe(image: Image) -> dict[str, Any]:
    """An image as `docker image inspect` shows it."""
    return {
        **imageview.summary(image),
        "Author": image.config.author,
        "Config": image.config.to_json()["config"],
        "Architecture": image.config.platform.architecture,
        "Os": image.config.platform.os,
        "RootFS": {"Type": "layers", "Layers": list(image.config.diff_ids)},
    }


def _tag(argv: list[str]) -> int:
    parser = _parser("tag", "SOURCE TARGET")
    parser.add_argument("source")
    parser.add_argument("target")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    try:
        store.tag(words.source, words.target)
    except Unsupported:
        bundle = store.bundle(words.source)
        if bundle is None:
            raise
        store.tag_bundle(bundle, words.target)
    return 0


def _prune(argv: list[str]) -> int:
    parser = _parser("prune", "[OPTIONS]", "  dockyard image prune -af\n")
    parser.flag("-a", "--all", help="all without a container, not only those without a name")
    parser.flag("-f", "--force", help="do not ask")
    parser.many("--filter", metavar="KEY=VALUE", help="until, label, label!, dangling")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    filters = imagefilters.parse(words.filter, imagefilters.PRUNED, store.resolve)
    if (said := filters.values.pop("dangling", None)) is not None:
        words.all = not imagefilters.is_true("dangling", said[-1])  # as docker has it: the same
    which = "images without at least one container associated to them"
    warning = f"WARNING! This will remove all {which if words.all else 'dangling images'}."
    if not words.force and not agree.agreed(warning):
        return 0
    before = store.usage()
    chosen = filters.fits if filters.values else None
    removed = store.prune(everything=words.all, chosen=chosen)
    if removed.untagged or removed.deleted:
        print("Deleted Images:")
    for name in removed.untagged:
        print(f"untagged: {imageview.familiar(name)}")
    for digest in removed.deleted:
        print(f"deleted: {digest}")
    if removed.untagged or removed.deleted:
        print()
    print(f"Total reclaimed space: {imageview.size(max(before - store.usage(), 0))}")
    return 0


def _bootstrap(argv: list[str]) -> int:
    from dockyard.node.image.bootstrap.recipes import RECIPES, bootstrap, cache_of

    parser = _parser("bootstrap", "[OPTIONS] BASE")
    parser.add_argument("base", metavar="BASE",
                        help=f"{', '.join(RECIPES)}; debian:RELEASE is this host's")  # fmt: skip
    parser.add_argument("--packages", default="", help="Debian packages, with commas between")
    parser.add_argument("-t", "--tag", metavar="NAME")
    parser.add_argument("--package-cache", metavar="DIR", help="keeps downloaded packages")
    words = parser.parse_args(argv)
    root = str(data_root())
    packages = tuple(name for name in words.packages.replace(",", " ").split() if name)
    cache = words.package_cache or cache_of(root)
    image = bootstrap(imageview.open_store(), words.base, packages, words.tag, cache)
    print(image.id)
    return 0


VERBS: common.Verbs = {
    "ls": (images.run, "List images"),
    "build": (_build, "Build an image from a Dockerfile"),
    "pull": (pull.run, "Fetch an image from a registry"),
    "push": (push.run, "Send an image to a registry"),
    "copy": (imagecopy.run, "Copy an image from registry to registry"),
    "import": (_import, "Make an image of the tar of a root file system"),
    "load": (_load, "Load images that docker save, or podman save, wrote"),
    "export": (imagesave.export, "Write an image's root as a tar, without starting anything"),
    "save": (_save, "Write images as a tar that docker, podman and skopeo read"),
    "inspect": (_inspect, "Show all that is known of images"),
    "history": (history.run, "Show how an image's layers came to be"),
    "tree": (imagetree.run, "Show layers, and which images share them"),
    "diff": (imagediff.run, "Show what one image changes of another"),
    "verify": (imageverify.run, "Look for damage in what the disk holds of images"),
    "tag": (_tag, "Give an image one more name"),
    "rm": (rmi.run, "Remove images"),
    "prune": (_prune, "Remove images without a name"),
    "sign": (imagetrust.sign, "Sign an image in its registry"),
    "verify-signature": (imagetrust.verify, "Look for a key's signature of an image"),
    "generate-key-pair": (imagetrust.generate, "Make a pair of keys to sign images with"),
    "bootstrap": (_bootstrap, "Make a base image of the host's packages"),
}
