"""``LABEL``: turns NAME=value into the image's labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import assignments

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Label(NamedTuple):
    line: Line
    pairs: tuple[tuple[str, str], ...]

    def apply(self, stage: Stage) -> None:
        values = [
            (stage.expand(name, self.line), stage.expand(value, self.line))
            for name, value in self.pairs
        ]
        labels = dict(stage.config.labels) | dict(values)
        stage.config = stage.config._replace(labels=tuple(sorted(labels.items())))
        stage.record("LABEL " + " ".join(f"{name}={value}" for name, value in values))


def parse(line: Line) -> Label:
    line.options()
    return Label(line, tuple(assignments(line)))
