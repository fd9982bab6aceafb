"""``VOLUME``: turns paths into those that get a volume of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Volume(NamedTuple):
    line: Line
    paths: tuple[str, ...]

    def apply(self, stage: Stage) -> None:
        found = [stage.expand(path, self.line) for path in self.paths]
        if not all(found):
            raise self.line.invalid("an empty path")
        volumes = tuple(sorted({*stage.config.volumes, *found}))
        stage.config = stage.config._replace(volumes=volumes)
        stage.record(self.line.text)


def parse(line: Line) -> Volume:
    line.options()
    listed = json_list(line)
    return Volume(line, listed if listed is not None else tuple(split(line)))
