"""``ENTRYPOINT``: turns a command into the image's program. A base's CMD does not go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class Entrypoint(NamedTuple):
    line: Line
    exec_form: tuple[str, ...] | None

    def apply(self, stage: Stage) -> None:
        args = self.exec_form if self.exec_form is not None else (*stage.shell, self.line.rest)
        cmd = stage.config.cmd if stage.has_cmd else ()
        stage.config = stage.config._replace(entrypoint=args, cmd=cmd)
        stage.record(self.line.text)


def parse(line: Line) -> Entrypoint:
    line.options()
    return Entrypoint(line, json_list(line))
