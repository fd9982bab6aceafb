"""``SHELL``: turns a list into the program that runs what is written in shell form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Shell(NamedTuple):
    line: Line
    words: tuple[str, ...]

    def apply(self, stage: Stage) -> None:
        stage.config = stage.config._replace(shell=self.words)
        stage.record(self.line.text)


def parse(line: Line) -> Shell:
    line.options()
    words = json_list(line)
    if not words:
        raise line.invalid('a list is expected: ["program", "argument"]')
    return Shell(line, words)
