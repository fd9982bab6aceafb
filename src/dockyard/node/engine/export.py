"""Turns a container's root into a tar stream: layers and changes, merged, without mounts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockyard.node.engine import merge, refresh, roots
from dockyard.node.engine.parts import Parts

if TYPE_CHECKING:
    from dockyard.node.engine.archive.pack import Packer


def export(parts: Parts, reference: str) -> Iterator[bytes]:
    """Pieces of the stream. Volumes are not in it; sockets have no place in a tar."""
    from dockyard.node.engine.archive.pack import Packer
    from dockyard.node.image.tarwrite import END

    container = refresh.find(parts, reference)
    layers = roots.layers_of(parts.images, container.image_id, container.config.rootfs)
    parts.tell(container, "export")
    with merge.opened((parts.places.upper(container.id), *layers)) as opened:
        yield from _folder(opened, (), Packer())
    yield END


def _folder(layers: tuple[int, ...], path: tuple[bytes, ...], packer: Packer) -> Iterator[bytes]:
    for name in merge.names(layers):
        found = merge.find(layers, name)
        if found is None:
            continue
        inner = (*path, os.fsencode(name))
        if stat.S_ISDIR(found.stat.st_mode):
            with merge.enter(layers, name) as below:
                yield from packer.folder(below[0], inner)
                yield from _folder(below, inner, packer)
        else:
            yield from packer.leaf(found.folder, inner[-1], found.stat, inner)
