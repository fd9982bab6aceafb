"""Turns a container's changes into an image: one layer on top of its own image's.

One that was made from a directory has no image below: all of its root is the layer.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dockyard.base.aio.now import stamp
from dockyard.base.linux import mergedtree, treecopy
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from dockyard.base.linux.overlay import NATIVE
from dockyard.node.engine import diff, end, export, health, refresh, roots
from dockyard.node.engine.config import RUNNING, Container
from dockyard.node.engine.parts import Parts

if TYPE_CHECKING:
    from dockyard.base.oci.imageconfig import ImageConfig

    Change = Callable[[ImageConfig], ImageConfig]


def commit(
    parts: Parts,
    reference: str,
    name: str,
    change: Change,
    *,
    author: str,
    comment: str,
    pause: bool,
) -> str:
    """The new image's id. A container that runs is frozen meanwhile, if wanted."""
    container = refresh.find(parts, reference)
    layers = roots.layers_of(parts.images, container.image_id, container.config.rootfs)

    def configured(config: ImageConfig) -> ImageConfig:
        return change(_config(parts, container, config, author, comment))

    with _still(parts, container) if pause else contextlib.nullcontext():
        if container.image_id:
            found = parts.images.commit(
                container.image_id,
                lambda copy: _fill(parts, container, layers, copy),
                configured,
                name,
            )
        else:
            root = export.whole(roots.stack_of(parts, container))
            found = parts.images.commit_root(root, configured, name)
    parts.tell(container, "commit", comment=comment, imageID=found)
    return found


@contextlib.contextmanager
def _still(parts: Parts, container: Container) -> Iterator[None]:
    if container.status != RUNNING:
        yield
        return
    end.pause(parts, container.id)
    try:
        yield
    finally:
        end.resume(parts, container.id)


def _fill(parts: Parts, container: Container, layers: tuple[str, ...], copy: str) -> None:
    """Copy what the container has changed."""
    upper = parts.places.upper(container.id)
    if container.driver == NATIVE:
        treecopy.copy_changes(upper, diff.of(parts, container), copy)
        return  # what is ours is no change
    from dockyard.node.image.branch import copy_upper

    copy_upper(upper, copy)
    _forget_ours(copy, layers)


def _forget_ours(copy: str, layers: tuple[str, ...]) -> None:
    """What the runtime has made to mount things on is no change of the container's."""
    root = os.open(copy, mergedtree.FOLDER)
    try:
        with mergedtree.opened(layers) as opened:
            for path in sorted(diff.OURS, key=len, reverse=True):
                if not _is_below(opened, path):
                    with contextlib.suppress(OSError):  # not there, or something is in it
                        _forget(root, path)
    finally:
        os.close(root)


def _forget(root: int, path: str) -> None:
    """By descriptors: the container may have put a link in the way."""
    above, _, name = path.rpartition("/")
    flags = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    folder = openat2(root, above.lstrip("/") or ".", os.O_RDONLY | os.O_DIRECTORY, flags)
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=folder)
        elif stat.S_ISREG(found.st_mode) and not found.st_size:
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def _is_below(layers: tuple[int, ...], path: str) -> bool:
    """Whether the image has something there itself."""
    folder, _, rest = path.lstrip("/").partition("/")
    if not rest:
        return mergedtree.find(layers, folder) is not None
    with mergedtree.enter(layers, folder) as inner:
        return _is_below(inner, rest)


def _config(
    parts: Parts, container: Container, image: ImageConfig, author: str, comment: str
) -> ImageConfig:
    """The image's configuration with what the container was started with."""
    from dockyard.base.oci.imageconfig import History

    config, created = container.config, stamp(parts.clock())
    step = History(created, " ".join(container.args), False, comment)
    check = config.health
    return image._replace(
        env=config.env,
        entrypoint=config.entrypoint or (),
        cmd=config.command,
        user=config.user,
        working_dir=config.workdir,
        exposed_ports=config.exposed,
        labels=config.labels,
        stop_signal=config.stop_signal,
        healthcheck=json.dumps(health.describe(check)) if check and check.test else "",
        created=created,
        author=author,
        history=(*image.history, step),
    )
