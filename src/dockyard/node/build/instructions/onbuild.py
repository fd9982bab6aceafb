"""``ONBUILD``: turns an instruction into one that runs where the image is the base of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage

REFUSED = ("ONBUILD", "FROM", "MAINTAINER")


class OnBuild(NamedTuple):
    line: Line
    text: str

    def apply(self, stage: Stage) -> None:
        onbuild = (*stage.config.onbuild, self.text)
        stage.config = stage.config._replace(onbuild=onbuild)
        stage.record(f"ONBUILD {self.text}")


def parse(line: Line) -> OnBuild:
    line.options()
    keyword = line.rest.split()[0].upper()
    if keyword == "ONBUILD":
        raise line.invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in REFUSED:
        raise line.invalid(f"{keyword} isn't allowed as an ONBUILD trigger")
    text = line.rest + "".join(f"\n{item.text}{item.name}" for item in line.heredocs)
    return OnBuild(line, text)
