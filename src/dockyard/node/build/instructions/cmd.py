"""``CMD``: turns a command into the image's default arguments or program."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Cmd(NamedTuple):
    line: Line
    exec_form: tuple[str, ...] | None

    def apply(self, stage: Stage) -> None:
        args = self.exec_form if self.exec_form is not None else (*stage.shell, self.line.rest)
        stage.has_cmd = True
        stage.config = stage.config._replace(cmd=args)
        stage.record(self.line.text)


def parse(line: Line) -> Cmd:
    line.options()
    return Cmd(line, json_list(line))
