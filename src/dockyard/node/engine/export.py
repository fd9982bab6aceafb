"""Turns a container's root into a tar stream: layers and changes, merged, without mounts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dockyard.base.linux import mergedtree
from dockyard.base.linux.overlay import NATIVE
from dockyard.node.engine import refresh, roots
from dockyard.node.engine.parts import Parts

if TYPE_CHECKING:
    from dockyard.interfaces.ociruntime import Overlay
    from dockyard.node.engine.archive.pack import Packer


def export(parts: Parts, reference: str) -> Iterator[bytes]:
    """Pieces of the stream. Volumes are not in it; sockets have no place in a tar."""
    container = refresh.find(parts, reference)
    stack = roots.stack_of(parts, container)
    parts.tell(container, "export")
    yield from whole(stack)


def whole(stack: Overlay) -> Iterator[bytes]:
    """A root with its changes."""
    if stack.driver == NATIVE:
        yield from _copied(stack.upper)
        return
    yield from merged((stack.upper, *stack.lower))


def _copied(root: str) -> Iterator[bytes]:
    from dockyard.node.engine.archive.pack import Packer
    from dockyard.node.image.tarwrite import END

    packer, folder = Packer(), os.open(root, mergedtree.FOLDER)
    try:
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            yield from packer.tree(folder, name, (name,))
    finally:
        os.close(folder)
    yield END


def merged(layers: Sequence[str]) -> Iterator[bytes]:
    """The tree of any layers, topmost first, as a tar stream."""
    from dockyard.node.engine.archive.pack import Packer
    from dockyard.node.image.tarwrite import END

    with mergedtree.opened(layers) as opened:
        yield from _folder(opened, (), Packer())
    yield END


def _folder(layers: tuple[int, ...], path: tuple[bytes, ...], packer: Packer) -> Iterator[bytes]:
    for name in mergedtree.names(layers):
        found = mergedtree.find(layers, name)
        if found is None:
            continue
        inner = (*path, os.fsencode(name))
        if stat.S_ISDIR(found.stat.st_mode):
            with mergedtree.enter(layers, name) as below:
                yield from packer.folder(below[0], inner)
                yield from _folder(below, inner, packer)
        else:
            yield from packer.leaf(found.folder, inner[-1], found.stat, inner)
