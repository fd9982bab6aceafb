"""``ARG``: turns a build argument into a variable of the lines after it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import split

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Arg(NamedTuple):
    line: Line
    pairs: tuple[tuple[str, str | None], ...]

    def apply(self, stage: Stage) -> None:
        given = stage.tools.options.build_args
        shown = []
        for name, default in self.pairs:
            stage.used.add(name)
            value = given.get(name)
            if value is None:  # only then the default is looked at
                value = stage.outer.get(name) if default is None else None
                value = stage.expand(default, self.line) if default is not None else value
            if value is not None:
                stage.args[name] = value
            shown.append(name if value is None else f"{name}={value}")
        stage.record(f"ARG {' '.join(shown)}")


def parse(line: Line) -> Arg:
    line.options()
    pairs: list[tuple[str, str | None]] = []
    for word in split(line):
        name, equals, default = word.partition("=")
        if _NAME.fullmatch(name) is None:
            raise line.invalid(f"{name[:40]!r}: NAME or NAME=default is expected")
        pairs.append((name, default if equals else None))
    return Arg(line, tuple(pairs))
