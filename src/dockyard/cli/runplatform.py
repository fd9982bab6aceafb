"""Turns an image's name and ``--platform`` into the name of the image to run; it may be fetched."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError, Invalid, NotFound
from dockyard.base.oci.instance import root_path
from dockyard.base.oci.platform import Platform, host_platform, parse_platform

if TYPE_CHECKING:
    from dockyard.node.image.store import ImageStore


def is_foreign(text: str) -> bool:
    """Whether it asks for another machine's image; no more is needed for this one's."""
    return bool(text) and text != "linux" and not host_platform().runs(parse_platform(text))


def image_for(image: str, text: str, pull: str, quiet: bool) -> str:
    """``pull``: always, missing or never."""
    from dockyard.base.oci.reference import parse_reference
    from dockyard.node.image.store import ImageStore

    if not image:
        raise Invalid(f"--platform {text}: it is an image that has one, not a directory")
    platform, name = parse_platform(text), parse_reference(image)
    store = ImageStore(root_path())
    found = None if pull == "always" else store.here_for(str(name), platform)
    if found is None and pull != "never":
        print(f"Unable to find image '{image}' for {platform} locally", file=sys.stderr)
        try:
            _pull(image, text, quiet)
        except DockyardError as error:
            raise NotFound(_mismatch(store, image, platform) + f": {error}") from error
        found = store.here_for(str(name), platform)
    if found is None:
        raise NotFound(_mismatch(store, image, platform))
    return found[0]


def tell_mismatch(image: str) -> None:
    """Where a program is none of this machine's: whose its image is."""
    from dockyard.node.image.store import ImageStore

    with contextlib.suppress(DockyardError):
        found = ImageStore(root_path()).resolve(image).config.platform
        if not host_platform().runs(found):
            print(f"WARNING: The image's platform ({found}) does not match this machine's "
                  f"({host_platform()}), and binfmt_misc runs no programs of it",
                  file=sys.stderr)  # fmt: skip


def _mismatch(store: ImageStore, image: str, platform: Platform) -> str:
    actual = ""
    with contextlib.suppress(DockyardError):
        actual = f": it is for {store.resolve(image).config.platform}"
    return f"image {image}: is not here for --platform {platform}{actual}"


def _pull(image: str, text: str, quiet: bool) -> None:
    from dockyard.cli import pull

    with contextlib.redirect_stdout(sys.stderr):
        pull.run([*(["--quiet"] if quiet else []), "--platform", text, image])
