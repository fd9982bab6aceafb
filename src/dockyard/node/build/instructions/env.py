"""``ENV``: turns NAME=value into the image's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import assignments

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Env(NamedTuple):
    line: Line
    pairs: tuple[tuple[str, str], ...]

    def apply(self, stage: Stage) -> None:
        # all values see the environment as it was before this line (reference, "ENV")
        values = [(name, stage.expand(value, self.line)) for name, value in self.pairs]
        env = stage.env | dict(values)
        stage.config = stage.config._replace(env=tuple(f"{key}={env[key]}" for key in env))
        stage.record("ENV " + " ".join(f"{name}={value}" for name, value in values))


def parse(line: Line) -> Env:
    line.options()
    return Env(line, tuple(assignments(line)))
