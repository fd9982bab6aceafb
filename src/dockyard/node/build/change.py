"""Turns changes made in an image's merged tree into a layer on top of it."""

import os
import shutil
from types import TracebackType

from dockyard.base.linux.overlay import open_overlay
from dockyard.node.build.stage import Stage
from dockyard.node.image.image import Layer
from dockyard.node.image.tree import Tree


class Change:
    """A stage's file tree with an empty upper directory. Use ``with``: what is not committed
    goes."""

    def __init__(self, stage: Stage) -> None:
        self._store = stage.tools.store
        self._parent = stage.chain
        self.lower = self._store.layer_directories(stage.layers)
        self._workspace = self._store.workspace()

    def __enter__(self) -> "Change":
        self.workspace = self._workspace.__enter__()
        self.upper = os.path.join(self.workspace, "upper")
        os.mkdir(self.upper, 0o755)
        shutil.copystat(self.lower[0], self.upper)  # the upper root is the root that is seen
        found = os.stat(self.lower[0])
        os.chown(self.upper, found.st_uid, found.st_gid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workspace.__exit__(kind, error, trace)

    def tree(self, what: str) -> Tree:
        """The merged tree, to look at and to change; leave its block before committing."""
        work = self.folder("work")
        return Tree(open_overlay(self.lower, self.upper, work, self.folder("merged")), what)

    def folder(self, name: str) -> str:
        """An empty directory beside the upper one."""
        path = os.path.join(self.workspace, name)
        os.makedirs(path, 0o700, exist_ok=True)
        return path

    def commit(self, *, always: bool = False) -> Layer | None:
        """The layer; None where nothing was changed, unless an empty one is wanted too."""
        if not always and not os.listdir(self.upper):
            return None
        return self._store.commit_layer(self.upper, self._parent)
