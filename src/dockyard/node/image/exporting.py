"""Turns a stack of layers into the tar stream of their merged tree, unmounted."""

import os
import stat
from collections.abc import Iterator, Sequence

from dockyard.base.linux import mergedtree
from dockyard.node.image.packer import Packer
from dockyard.node.image.tarwrite import END


def merged(layers: Sequence[str]) -> Iterator[bytes]:
    """The tree of any layers, topmost first, as a tar stream."""
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
