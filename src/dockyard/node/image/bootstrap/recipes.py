"""Turns the name of a base image into that image, out of the host's packages."""

import os
import platform
from typing import NamedTuple

from dockyard.base.errors import Invalid, NotFound
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import host_platform
from dockyard.node.image.bootstrap.apt import closure, fetch
from dockyard.node.image.bootstrap.compose import compose, find_busybox
from dockyard.node.image.chunks import gathered
from dockyard.node.image.image import Image
from dockyard.node.image.store import ImageStore

_CREATED = "1970-01-01T00:00:00Z"  # the same packages make the same image on any day
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Recipe(NamedTuple):
    """What goes into a base image. Every one has busybox: a shell and its tools."""

    packages: tuple[str, ...]
    tag: str
    cmd: tuple[str, ...] = ("sh",)


RECIPES = {
    "busybox": Recipe((), "busybox:latest"),
    "debian": Recipe(("base-files",), "debian:latest"),
    "python": Recipe(("base-files", "python3"), "python:3", ("python3",)),
    "redis": Recipe(("base-files", "redis-server"), "redis:latest", ("redis-server",)),
}


def bootstrap(
    store: ImageStore, base: str, packages: tuple[str, ...], reference: str | None, cache: str
) -> Image:
    """Make a base image. ``packages`` come on top of the recipe's; ``cache`` keeps their files.

    ``base``: a recipe, or ``debian:RELEASE`` where that is the host's. Raises :class:`NotFound` for
    one that is not here, and for a package that apt does not know.
    """
    name, colon, release = base.partition(":")
    recipe = RECIPES.get(name)
    if recipe is None:
        known = ", ".join(RECIPES)
        raise NotFound(f"bootstrap: {name}: no such base image; there are {known}")
    if colon:
        recipe = _released(recipe, base, release)
    if packages and not recipe.packages:
        raise Invalid(f"bootstrap: {name}: takes no packages; `bootstrap debian` does")
    wanted = (*recipe.packages, *packages)
    debs = fetch(closure(wanted, cache), cache) if wanted else []
    config = ImageConfig(host_platform(), env=(_PATH,), cmd=recipe.cmd, created=_CREATED)
    stream = gathered(compose(debs, find_busybox()))
    told = f"dockyard image bootstrap {name}" + "".join(f" {package}" for package in packages)
    return store.import_chunks(stream, reference or recipe.tag, config=config, message=told)


def _released(recipe: Recipe, base: str, release: str) -> Recipe:
    """The recipe under the name of a release, which is the host's or none: its apt has no other."""
    if recipe.tag == base:
        return recipe
    host = platform.freedesktop_os_release()
    here = [host[key] for key in ("VERSION_CODENAME", "VERSION_ID") if host.get(key)]
    if recipe is not RECIPES["debian"] or host["ID"] != "debian" or release not in here:
        own = ", ".join([recipe.tag, *(f"debian:{each}" for each in here if recipe.packages)])
        raise NotFound(f"bootstrap: {base}: this host's packages make {own}")
    return recipe._replace(tag=base)


def cache_of(data_root: str) -> str:
    """Where package files are kept."""
    return os.path.join(data_root, "images", "packages")
