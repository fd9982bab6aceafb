"""``MAINTAINER``: turns a name into the image's author. Deprecated; a label does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Maintainer(NamedTuple):
    line: Line

    def apply(self, stage: Stage) -> None:
        stage.config = stage.config._replace(author=self.line.rest)
        stage.record(f"MAINTAINER {self.line.rest}")


def parse(line: Line) -> Maintainer:
    line.options()
    return Maintainer(line)
