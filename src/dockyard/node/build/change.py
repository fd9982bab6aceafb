"""Turns changes made in an image's merged tree into a layer on top of it."""

import os
import shutil
from types import TracebackType

from dockyard.base.linux import treechanges, treecopy
from dockyard.base.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from dockyard.base.linux.overlay import FUSE, NATIVE, open_overlay
from dockyard.node.build.stage import Stage
from dockyard.node.image.image import Layer
from dockyard.node.image.snapshot import fill, settle
from dockyard.node.image.tree import Tree


class Change:
    """A stage's file tree with an empty upper directory. Use ``with``: what is not committed
    goes. ``apart``: on an empty tree instead of the stage's, as ``COPY --link`` has it."""

    def __init__(self, stage: Stage, *, apart: bool = False) -> None:
        self._store = stage.tools.store
        self._parent = stage.chain
        self._epoch = stage.tools.epoch
        self._bare = apart or not stage.layers
        self.lower = self._store.layer_directories(() if apart else stage.layers)
        self._workspace = self._store.workspace()
        self.driver = self._store.driver.name
        self._filled = False

    def __enter__(self) -> "Change":
        self.workspace = self._workspace.__enter__()
        self.upper = os.path.join(self.workspace, "upper")
        os.mkdir(self.upper, 0o755)
        shutil.copystat(self.lower[0], self.upper)  # the upper root is the root that is seen
        found = os.stat(self.lower[0])
        os.chown(self.upper, found.st_uid, found.st_gid)
        os.chmod(self.upper, found.st_mode & 0o7777)
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
        if self._bare:  # nothing below to merge with
            return Tree(os.open(self.upper, os.O_RDONLY | os.O_DIRECTORY), what)
        work = self.folder("work")
        at = self.folder("merged")
        return Tree(open_overlay(self.below(), self.upper, work, at, self.driver), what)

    def below(self) -> tuple[str, ...]:
        """The directories to mount the upper one on: none where that is a copy of everything."""
        if self.driver != NATIVE:
            return tuple(self.lower)
        if not self._filled:
            fill(self.lower, self.upper, self.driver)
            self._filled = True
        return ()

    def fresh(self, path: str, what: str) -> Tree:
        """A directory that only this change has, to fill without overlayfs, which makes a file
        twenty times slower. Leave the merged tree's block before."""
        top = os.open(self.upper, os.O_RDONLY | os.O_DIRECTORY)
        try:
            resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
            return Tree(openat2(top, path, os.O_RDONLY | os.O_DIRECTORY, resolve), what)
        finally:
            os.close(top)

    def folder(self, name: str) -> str:
        """An empty directory beside the upper one."""
        path = os.path.join(self.workspace, name)
        os.makedirs(path, 0o700, exist_ok=True)
        return path

    def commit(self, *, always: bool = False) -> Layer | None:
        """The layer; None where nothing was changed, unless an empty one is wanted too."""
        upper = self._changed() if self._filled else self.upper
        if not always and not os.listdir(upper):
            return None
        if self.driver == FUSE:
            settle(upper)
        if self._epoch is not None:
            _age(upper, self._epoch * 1_000_000_000)
        return self._store.commit_layer(upper, self._parent)

    def _changed(self) -> str:
        """An upper directory of the changes alone, of one that has everything."""
        found = self.folder("changed")
        changes = treechanges.changes(self.upper, self.lower, whole=True)
        treecopy.copy_changes(self.upper, changes, found)
        return found


def _age(top: str, newest: int) -> None:
    """No file is younger than ``newest`` (nanoseconds): reproducible-builds.org."""
    for folder, _, names, fd in os.fwalk(top, topdown=False, follow_symlinks=False):
        for name in names:
            if os.lstat(name, dir_fd=fd).st_mtime_ns > newest:
                os.utime(name, ns=(newest, newest), dir_fd=fd, follow_symlinks=False)
        if os.fstat(fd).st_mtime_ns > newest:
            os.utime(fd, ns=(newest, newest))
        del folder
