"""Turns a container's root into a tar stream: layers and changes, merged, without mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockyard.base.linux import mergedtree
from dockyard.base.linux.overlay import NATIVE
from dockyard.node.engine import refresh, roots
from dockyard.node.engine.parts import Parts

if TYPE_CHECKING:
    from dockyard.interfaces.ociruntime import Overlay


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
    from dockyard.node.image.exporting import merged

    yield from merged((stack.upper, *stack.lower))


def _copied(root: str) -> Iterator[bytes]:
    from dockyard.node.image.packer import Packer
    from dockyard.node.image.tarwrite import END

    packer, folder = Packer(), os.open(root, mergedtree.FOLDER)
    try:
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            yield from packer.tree(folder, name, (name,))
    finally:
        os.close(folder)
    yield END
