"""``WORKDIR``: turns a path into the directory of what follows, made if it is missing."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.users import find_user
from dockyard.node.build.change import Change
from dockyard.node.build.placing import landing

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Layer
    from dockyard.node.image.tree import Tree


class Workdir(NamedTuple):
    line: Line

    def apply(self, stage: Stage) -> None:
        path = stage.expand(self.line.rest, self.line)
        if not path:
            raise self.line.invalid(f"{self.line.rest!r} is empty; a path is expected")
        path = absolute(stage, path)
        key = stage.key("WORKDIR", path=path, user=stage.config.user)
        layer = stage.recall(key)
        if layer is not None:
            stage.was_cached()
        else:
            layer = self._build(stage, path, key)
        stage.config = stage.config._replace(working_dir=path)
        stage.record(f"WORKDIR {path}", layer)

    def _build(self, stage: Stage, path: str, key: str) -> Layer | None:
        parts = tuple(part.encode() for part in path.split("/") if part)
        with Change(stage) as change:
            with change.tree(f"WORKDIR {path}") as tree:
                tree.directory(landing(tree, parts, self.line))
                if tree.implied and stage.config.user:
                    self._give(tree, stage.config.user)
                tree.restore_times({})
            layer = change.commit()
        if layer is not None:
            stage.remember(key, layer)
        return layer

    def _give(self, tree: Tree, name: str) -> None:
        """What is made belongs to the user of that moment, as with BuildKit."""
        try:
            user = find_user(tree.root, name)
        except Invalid as error:
            raise self.line.invalid(str(error)) from error
        for path in tree.implied:
            os.fchown(tree.directory(path), user.uid, user.gid)


def absolute(stage: Stage, path: str) -> str:
    """``path`` below the working directory, without ``.`` and ``..``; never above the root."""
    joined = posixpath.join(stage.config.working_dir or "/", path)
    return "/" + posixpath.normpath("/" + joined).strip("/")


def parse(line: Line) -> Workdir:
    line.options()
    return Workdir(line)
